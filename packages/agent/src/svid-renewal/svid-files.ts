/** X.509-SVIDs and their keys on disk, one 0600 file each, so that an agent that restarts without its server keeps serving. */
import { createHash } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { exportPkcs8, exportSpki, importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { createPrivateDirectory, writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createX509Svid } from './create-x509-svid.js';

/** An SVID with what it was issued for. */
export interface StoredSvid {
  readonly entryId: string;
  /** `svidContentKey` of the entry at that time. */
  readonly contentKey: string;
  readonly svid: X509Svid;
}

const fileSchema = z.strictObject({
  version: z.literal(1),
  entry_id: z.string(),
  content_key: z.string(),
  certificate_chain: z.array(z.base64()).min(1).max(16),
  private_key: z.base64(),
});

const EXTENSION = '.json';
/** Writing waits on the disk in the thread pool that signing needs too; so it takes little of it. */
const WRITERS = 2;
/** A disk that is full now may have room in a minute, and an agent that restarts meanwhile would have to be issued all of them again. */
const RETRY = { initialMs: 2_000, maximumMs: 60_000 };

interface SvidFilesOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SvidFiles {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #backoff = new Backoff(RETRY);
  /** What is to be written or, if undefined, deleted; the latest wish for an entry wins. */
  readonly #wishes = new Map<string, StoredSvid | undefined>();
  /** Entries whose file is being written: two writers on one file could end in the wrong order. */
  readonly #busy = new Set<string>();
  /** What could not be written, and has not been overtaken by another wish. */
  readonly #failed = new Map<string, StoredSvid>();
  /** Each is complained of once, however often it is tried. */
  readonly #complainedOf = new WeakSet<StoredSvid>();
  #retry: Timer | undefined;
  #writers = 0;
  #idle: Promise<void> = Promise.resolve();
  #finishIdle: () => void = () => undefined;

  constructor({ clock, directory, log }: SvidFilesOptions) {
    this.#directory = directory;
    this.#clock = clock;
    this.#log = log;
  }

  /** Everything that is whole and not over at `now`; the rest is removed with a warning. */
  async load(now: Date): Promise<readonly StoredSvid[]> {
    await createPrivateDirectory(this.#directory);
    const loaded: StoredSvid[] = [];
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      try {
        const stored = name.endsWith(EXTENSION) ? parseStoredSvid(await readFile(path, 'utf8')) : undefined;
        if (stored !== undefined && fileName(stored.entryId) === name && stored.svid.notAfter > now) {
          loaded.push(stored);
          continue;
        }
        this.#log.info({ path }, 'removing an SVID file that is out of use');
      } catch (error) {
        this.#log.warn(
          { path },
          `ignoring an SVID file that cannot be read, its SVID will be fetched again: ${errorMessage(error)}`,
        );
      }
      await this.#unlink(path);
      await nextTurn();
    }
    return loaded;
  }

  /** Returns at once; a failure to write is logged and tried again, since the SVID is good without it. */
  save(stored: StoredSvid): void {
    this.#wish(stored.entryId, stored);
  }

  remove(entryId: string): void {
    this.#wish(entryId, undefined);
  }

  /** Deletes every file, for an agent that has lost its right to hold them. */
  async clear(): Promise<void> {
    this.#wishes.clear();
    this.#failed.clear();
    await this.flush();
    for (const name of await readdir(this.#directory)) await this.#unlink(join(this.#directory, name));
  }

  /** Resolves once everything asked for so far is on disk, or could not be written: it is tried again later. */
  flush(): Promise<void> {
    return this.#idle;
  }

  #wish(entryId: string, stored: StoredSvid | undefined): void {
    this.#failed.delete(entryId);
    this.#wishes.set(entryId, stored);
    if (this.#writers >= WRITERS) return;
    if (this.#writers === 0) {
      this.#idle = new Promise((resolve) => {
        this.#finishIdle = resolve;
      });
    }
    this.#writers += 1;
    void this.#write();
  }

  async #write(): Promise<void> {
    for (let next = this.#nextWish(); next !== undefined; next = this.#nextWish()) {
      const [entryId, stored] = next;
      this.#busy.add(entryId);
      const path = join(this.#directory, fileName(entryId));
      if (stored === undefined) await this.#unlink(path);
      else await this.#keep(path, stored);
      this.#busy.delete(entryId);
    }
    this.#writers -= 1;
    if (this.#writers > 0) return;
    this.#finishIdle();
    if (this.#failed.size === 0) this.#backoff.reset();
    else this.#retry ??= this.#clock.schedule(this.#backoff.nextDelayMs(), this.#tryAgain);
  }

  async #keep(path: string, stored: StoredSvid): Promise<void> {
    const { entryId } = stored;
    try {
      await writeFileAtomic(path, formatStoredSvid(stored));
    } catch (error) {
      if (!this.#wishes.has(entryId)) this.#failed.set(entryId, stored);
      if (this.#complainedOf.has(stored)) return;
      this.#complainedOf.add(stored);
      this.#log.warn(
        { entryId },
        `cannot keep an SVID on disk, it lives in memory only: ${errorMessage(error)}`,
      );
    }
  }

  readonly #tryAgain = (): void => {
    this.#retry = undefined;
    for (const stored of [...this.#failed.values()]) this.save(stored);
  };

  #nextWish(): [string, StoredSvid | undefined] | undefined {
    for (const wish of this.#wishes) {
      if (this.#busy.has(wish[0])) continue;
      this.#wishes.delete(wish[0]);
      return wish;
    }
    return undefined;
  }

  async #unlink(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#log.warn({ path }, `cannot remove an SVID file: ${errorMessage(error)}`);
    }
  }
}

/** Entry ids may hold characters that file names may not. */
function fileName(entryId: string): string {
  return createHash('sha256').update(entryId).digest('hex').slice(0, 40) + EXTENSION;
}

function formatStoredSvid({ entryId, contentKey, svid }: StoredSvid): string {
  const file: z.infer<typeof fileSchema> = {
    version: 1,
    entry_id: entryId,
    content_key: contentKey,
    certificate_chain: svid.certificateChain.map((der) => der.toString('base64')),
    private_key: exportPkcs8(svid.privateKey).toString('base64'),
  };
  return JSON.stringify(file);
}

/** @throws when it is damaged, or key and certificate do not belong together. */
function parseStoredSvid(text: string): StoredSvid {
  const file = fileSchema.parse(JSON.parse(text));
  const certificateChain = file.certificate_chain.map((base64) => Buffer.from(base64, 'base64'));
  const privateKey = importPkcs8(Buffer.from(file.private_key, 'base64'));
  const svid = createX509Svid(certificateChain, privateKey, exportSpki(privateKey));
  return { entryId: file.entry_id, contentKey: file.content_key, svid };
}
