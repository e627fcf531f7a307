/** The audit log in files: 0600, each write on the disk before it is done, rotated by size and age. */
import { statfs, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AuditEvent } from './audit-event.js';
import {
  compressFile,
  isSameFile,
  openAuditFile,
  removeOldFiles,
  rotatedFiles,
  setAside,
  type Retention,
} from './audit-files.js';
import type { ChainHead } from './audit-log.js';
import type { AuditLine } from './audit-record.js';
import type { AuditSink } from './audit-sink.js';
import { readFileTail, type FileTail } from './file-tail.js';

export interface FileSinkOptions {
  readonly path: string;
  readonly serverId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maximumBytes: number;
  readonly maximumAgeSeconds: number | undefined;
  readonly retention: Retention;
  readonly compresses: boolean;
}

/** With less than this, nothing is begun: what is told of a batch of 500 takes half of it. */
const LEAST_FREE_BYTES = 1024 * 1024;
const ROOM_EVERY_MS = 500;
const ROOM_EVERY_BYTES = 256 * 1024;

export interface OpenedFileSink {
  readonly sink: FileSink;
  readonly head: ChainHead | undefined;
  /** What had to be repaired. */
  readonly found: readonly AuditEvent[];
}

export class FileSink implements AuditSink {
  readonly name: string;
  readonly usesDatabase = false;
  readonly #options: FileSinkOptions;
  #handle: FileHandle;
  /** Of what is written whole. */
  #bytes: number;
  #begunAt: Date;
  #isTorn = false;
  #roomAtMs = -Infinity;
  #bytesSinceRoom = 0;
  #tidying: Promise<void> = Promise.resolve();

  private constructor(options: FileSinkOptions, handle: FileHandle, bytes: number, begunAt: Date) {
    this.name = `the file ${options.path}`;
    this.#options = options;
    this.#handle = handle;
    this.#bytes = bytes;
    this.#begunAt = begunAt;
  }

  /** @throws BonafideError `failed_precondition` when the file cannot be opened. */
  static async open(options: FileSinkOptions): Promise<OpenedFileSink> {
    const { path, clock } = options;
    const handle = await openAuditFile(path);
    const tail = ofServer(await readFileTail(handle), options.serverId);
    const { birthtime } = await handle.stat();
    switch (tail.kind) {
      case 'empty':
        return { sink: new FileSink(options, handle, 0, clock.now()), head: undefined, found: [] };
      case 'record': {
        const found =
          tail.torn === undefined ? [] : [await cutTorn(options, handle, tail.goodBytes, tail.torn)];
        const sink = new FileSink(options, handle, tail.goodBytes, birthtime);
        return { sink, head: tail.head, found };
      }
      case 'damaged': {
        await handle.close();
        const aside = await setAside(path, clock.now(), '.damaged');
        const fresh = await openAuditFile(path);
        const found = [repaired(`${path} is no audit log that can be continued: ${tail.problem}`, { aside })];
        return { sink: new FileSink(options, fresh, 0, clock.now()), head: undefined, found };
      }
    }
  }

  /** Whether the file is as large or old as a file may be. */
  get isFull(): boolean {
    const { maximumBytes, maximumAgeSeconds, clock } = this.#options;
    if (this.#bytes >= maximumBytes) return true;
    if (maximumAgeSeconds === undefined || this.#bytes === 0) return false;
    return clock.now().getTime() - this.#begunAt.getTime() >= maximumAgeSeconds * 1000;
  }

  room(): Promise<void> | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const isKnown = nowMs - this.#roomAtMs < ROOM_EVERY_MS && this.#bytesSinceRoom < ROOM_EVERY_BYTES;
    return isKnown ? undefined : this.#look(nowMs);
  }

  async write(lines: readonly AuditLine[]): Promise<void> {
    let start = 0;
    for (const [index, { beginsFile }] of lines.entries()) {
      if (!beginsFile) continue;
      await this.#append(lines.slice(start, index));
      await this.#rotate();
      start = index;
    }
    await this.#append(lines.slice(start));
  }

  /** After somebody else gave the file another name. */
  async reopen(): Promise<boolean> {
    if (await isSameFile(this.#options.path, this.#handle)) return false;
    const old = this.#handle;
    this.#handle = await openAuditFile(this.#options.path);
    this.#bytes = (await this.#handle.stat()).size;
    this.#begunAt = this.#options.clock.now();
    await old.close();
    return true;
  }

  async close(): Promise<void> {
    await this.#tidying;
    await this.#handle.close();
  }

  async #look(nowMs: number): Promise<void> {
    const { bavail, bsize } = await statfs(dirname(this.#options.path));
    if (bavail * bsize < LEAST_FREE_BYTES) {
      this.#roomAtMs = -Infinity;
      throw new BonafideError(
        'unavailable',
        `the disk is full: less than ${LEAST_FREE_BYTES} bytes are free; free some space and try again`,
      );
    }
    this.#roomAtMs = nowMs;
    this.#bytesSinceRoom = 0;
  }

  async #append(lines: readonly AuditLine[]): Promise<void> {
    if (lines.length === 0) return;
    if (this.#isTorn) await this.#cut();
    const data = Buffer.from(lines.map(({ text }) => `${text}\n`).join(''));
    this.#isTorn = true;
    try {
      await this.#handle.appendFile(data);
      await this.#handle.datasync();
    } catch (error) {
      this.#roomAtMs = -Infinity;
      await this.#cut().catch(() => undefined); // before the next write at the latest
      throw error;
    }
    this.#isTorn = false;
    this.#bytes += data.length;
    this.#bytesSinceRoom += data.length;
  }

  /** What was written in part goes, so that it can be written again. */
  async #cut(): Promise<void> {
    await this.#handle.truncate(this.#bytes);
    this.#isTorn = false;
  }

  async #rotate(): Promise<void> {
    const { path, clock, log, compresses, retention } = this.#options;
    if (this.#bytes === 0) return;
    if (await isSameFile(path, this.#handle)) await setAside(path, clock.now());
    const old = this.#handle;
    this.#handle = await openAuditFile(path);
    this.#bytes = (await this.#handle.stat()).size;
    this.#begunAt = clock.now();
    await old.close();
    this.#tidying = this.#tidying
      .then(async () => {
        const removed = await removeOldFiles(path, retention, clock.now());
        for (const name of removed)
          log.info({ path: name }, 'an audit file was kept long enough, and is removed');
        if (!compresses) return;
        for (const file of await rotatedFiles(path)) if (!file.isCompressed) await compressFile(file.path);
      })
      .catch((error: unknown) => {
        log.warn({ err: error }, 'cannot tidy up among audit files');
      });
  }
}

function ofServer(tail: FileTail, serverId: string): FileTail {
  if (tail.kind !== 'record' || tail.serverId === serverId) return tail;
  return { kind: 'damaged', problem: `it is the log of the server ${tail.serverId}` };
}

/** Kept beside the log: nobody was told that it was written. */
async function cutTorn(
  { path, log }: FileSinkOptions,
  handle: FileHandle,
  goodBytes: number,
  torn: { readonly bytes: Buffer; readonly hash: string },
): Promise<AuditEvent> {
  const aside = `${path}.torn`;
  await writeFileAtomic(aside, torn.bytes);
  await handle.truncate(goodBytes);
  await handle.datasync();
  log.warn({ path, aside, bytes: torn.bytes.length }, 'the audit log had a torn end, which was cut off');
  return repaired(`${path} ended in the middle of a record, as after a crash`, {
    ...{ aside, bytes: torn.bytes.length, sha256: torn.hash },
  });
}

function repaired(reason: string, details: Readonly<Record<string, string | number>>): AuditEvent {
  return { event: 'audit_log_repaired', result: 'success', actor: { kind: 'server' }, reason, details };
}
