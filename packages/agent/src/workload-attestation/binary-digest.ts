/** SHA-256 of the binary that a process runs, computed once for each version of the file however many processes run it. */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

const CHUNK_BYTES = 256 * 1024;

interface BinaryDigestsOptions {
  /** How many digests are remembered; the one used longest ago goes first. */
  readonly capacity?: number;
}

interface Computation {
  readonly key: string;
  readonly digest: Promise<string>;
  /** Stops the work once nobody waits for it. */
  readonly abort: AbortController;
  waiters: number;
}

export class BinaryDigests {
  readonly #capacity: number;
  /** In order of use; the key names one state of one file. */
  readonly #known = new Map<string, string>();
  readonly #running = new Map<string, Computation>();

  constructor({ capacity = 1000 }: BinaryDigestsOptions = {}) {
    this.#capacity = capacity;
  }

  /**
   * @param path of the `exe` link in procfs: opening it gives the file that runs, even a deleted one or one in another mount namespace,
   * whereas the link's text would name some other file.
   * @param sizeLimit in bytes; 0 for none.
   * @returns lower-case hex.
   * @throws BonafideError `resource_exhausted` above the limit, `aborted` when the file changes meanwhile, `cancelled` by the signal.
   */
  async sha256(
    path: string,
    { sizeLimit, signal }: { sizeLimit: number; signal: AbortSignal },
  ): Promise<string> {
    // One round through the thread pool for a file that is known; it must be there, because a file system can hang.
    const known = this.#recall(checkSize(await stat(path, { bigint: true }), sizeLimit));
    if (known !== undefined) return known;
    const file = await open(path, 'r');
    let stats: BigIntStats;
    try {
      stats = checkSize(await file.stat({ bigint: true }), sizeLimit);
    } catch (error) {
      await file.close();
      throw error;
    }
    const key = fileVersion(stats);
    let computation = this.#running.get(key);
    if (computation === undefined) {
      computation = this.#start(key, file, stats);
    } else {
      await file.close();
    }
    return await this.#waitFor(computation, signal);
  }

  #start(key: string, file: FileHandle, stats: BigIntStats): Computation {
    const abort = new AbortController();
    const digest = hashFile(file, stats, abort.signal)
      .then((hex) => {
        this.#remember(key, hex);
        return hex;
      })
      .finally(async () => {
        this.#forget(computation);
        await file.close();
      });
    const computation: Computation = { key, digest, abort, waiters: 0 };
    this.#running.set(key, computation);
    return computation;
  }

  async #waitFor(computation: Computation, signal: AbortSignal): Promise<string> {
    computation.waiters += 1;
    let stopWaiting: (() => void) | undefined;
    const cancelled = new Promise<never>((_, reject) => {
      stopWaiting = () => {
        reject(new BonafideError('cancelled', 'cancelled while the binary was hashed'));
      };
      if (signal.aborted) stopWaiting();
      else signal.addEventListener('abort', stopWaiting, { once: true });
    });
    try {
      return await Promise.race([computation.digest, cancelled]);
    } finally {
      if (stopWaiting !== undefined) signal.removeEventListener('abort', stopWaiting);
      computation.waiters -= 1;
      if (computation.waiters === 0) {
        this.#forget(computation); // who comes now must not join what is being stopped
        computation.abort.abort();
      }
    }
  }

  #forget(computation: Computation): void {
    if (this.#running.get(computation.key) === computation) this.#running.delete(computation.key);
  }

  #recall(stats: BigIntStats): string | undefined {
    const key = fileVersion(stats);
    const digest = this.#known.get(key);
    if (digest !== undefined) this.#remember(key, digest);
    return digest;
  }

  #remember(key: string, digest: string): void {
    this.#known.delete(key);
    this.#known.set(key, digest);
    const oldest = this.#known.keys().next();
    if (this.#known.size > this.#capacity && oldest.done !== true) this.#known.delete(oldest.value);
  }
}

function checkSize(stats: BigIntStats, sizeLimit: number): BigIntStats {
  if (sizeLimit > 0 && stats.size > BigInt(sizeLimit)) {
    throw new BonafideError(
      'resource_exhausted',
      `the workload's binary has ${stats.size.toString()} bytes, more than the workload_size_limit of ${sizeLimit}`,
    );
  }
  return stats;
}

/** A file cannot change without a new change time, which no user can set. */
function fileVersion({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

async function hashFile(file: FileHandle, stats: BigIntStats, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  // Never further than its size: one that grows while it is read would have no end.
  for (let left = stats.size; left > 0n;) {
    if (signal.aborted) throw new BonafideError('cancelled', 'nobody waits for the digest any more');
    const { bytesRead } = await file.read(chunk, 0, Number(left < CHUNK_BYTES ? left : CHUNK_BYTES), null);
    if (bytesRead === 0) break;
    hash.update(chunk.subarray(0, bytesRead));
    left -= BigInt(bytesRead);
  }
  if (fileVersion(await file.stat({ bigint: true })) !== fileVersion(stats)) {
    throw new BonafideError('aborted', "the workload's binary changed while it was hashed");
  }
  return hash.digest('hex');
}
