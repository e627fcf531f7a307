/** The audit log in the server's database: a transaction of its own for what comes together. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AuditEventRecords, AuditEventRow } from '../store/audit-event-record.js';
import type { ChainHead } from './audit-log.js';
import { parseRecord, type AuditLine } from './audit-record.js';
import type { AuditSink } from './audit-sink.js';

export interface DatabaseSinkOptions {
  readonly records: AuditEventRecords;
  readonly serverId: string;
  /** Undefined: records are kept for ever. */
  readonly keepSeconds: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const PRUNE_EVERY_MS = 3_600_000;

export class DatabaseSink implements AuditSink {
  readonly name = 'the database';
  readonly usesDatabase = true;
  readonly #options: DatabaseSinkOptions;
  #prunedAtMs = -Infinity;

  constructor(options: DatabaseSinkOptions) {
    this.#options = options;
  }

  /** @throws BonafideError `invalid_argument` when the last record was changed. */
  async head(): Promise<ChainHead | undefined> {
    const last = await this.#options.records.last(this.#options.serverId);
    if (last === undefined) return undefined;
    const { seq, hash } = parseRecord(last.line);
    return { seq, hash };
  }

  room(): undefined {
    return undefined;
  }

  async write(lines: readonly AuditLine[]): Promise<void> {
    const { records, serverId } = this.#options;
    const rows = lines.map((line) => rowOf(line, serverId));
    try {
      await records.append(rows);
    } catch (error) {
      // The connection may have been lost while it was being committed: then it may be there.
      const last = await records.last(serverId);
      if (last?.seq !== rows.at(-1)?.seq || last?.line !== rows.at(-1)?.line) throw error;
    }
    await this.#prune();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #prune(): Promise<void> {
    const { records, serverId, keepSeconds, clock, log } = this.#options;
    if (keepSeconds === undefined) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#prunedAtMs < PRUNE_EVERY_MS) return;
    this.#prunedAtMs = nowMs;
    const before = new Date(clock.now().getTime() - keepSeconds * 1000);
    try {
      const count = await records.prune(serverId, before);
      if (count > 0) log.info({ count }, 'audit records were kept long enough, and are removed');
    } catch (error) {
      log.warn({ err: error }, 'cannot remove old audit records');
    }
  }
}

function rowOf({ seq, time, event, result, text }: AuditLine, serverId: string): AuditEventRow {
  return { serverId, seq, at: time, event, result, line: text };
}
