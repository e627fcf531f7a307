/** The audit log proper: events in one chain of hashes, signed at checkpoints, handed to each place where it is kept. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Signer } from '@bonafide/shared/crypto/signer';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AuditEvent, AuditResult } from './audit-event.js';
import { keyIdOf, publicKeyText, signCheckpoint } from './audit-key.js';
import { GENESIS, sealEvent, type AuditLine } from './audit-record.js';
import type { AuditLog, ChainHead } from './audit-log.js';
import type { SinkLine } from './audit-sink.js';

export interface ChainedAuditLogOptions {
  readonly serverId: string;
  readonly signer: Signer;
  readonly lines: readonly SinkLine[];
  readonly head: ChainHead | undefined;
  /** Whether those who could not be told of go on all the same. */
  readonly goesOnWithout: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onRecorded?: ((results: readonly AuditResult[], seconds: number) => void) | undefined;
  /** After each checkpoint that is written. */
  readonly onCheckpoint?: (head: ChainHead) => Promise<void>;
  readonly checkpointEvery?: { readonly events: number; readonly ms: number } | undefined;
}

interface Incoming {
  readonly events: readonly AuditEvent[];
  readonly time: Date;
  readonly isInTransaction: boolean;
  readonly resolve: (written: Promise<unknown>) => void;
}

type CheckpointKind = 'open' | 'interval' | 'rotation' | 'close';

const CHECKPOINT_EVERY = { events: 1_000, ms: 10_000 };
const LOG_EVERY_MS = 10_000;
const SERVER = { kind: 'server' } as const;

export class ChainedAuditLog implements AuditLog {
  readonly #options: ChainedAuditLogOptions;
  #head: ChainHead;
  #incoming: Incoming[] = [];
  #signing: Promise<void> | undefined;
  #unsigned = 0;
  #timer: Timer | undefined;
  #dropped = 0;
  #loggedAtMs: number | undefined;
  #isClosed = false;

  constructor(options: ChainedAuditLogOptions) {
    this.#options = options;
    this.#head = options.head ?? { seq: 0, hash: GENESIS };
  }

  /** The first records of this run: the key, and what was found. @param found at the end of what was there. */
  async begin(found: readonly AuditEvent[]): Promise<void> {
    try {
      await this.#enqueue([this.#opened('start'), ...found], false);
      await this.checkpoint('open');
    } catch (error) {
      if (!this.#options.goesOnWithout) throw error;
      this.#goneOnWithout(error);
    }
  }

  ready(): Promise<void> | undefined {
    const { lines, goesOnWithout } = this.#options;
    if (goesOnWithout) return undefined;
    let waits: Promise<void>[] | undefined;
    for (const line of lines) {
      const ready = line.isRequired ? line.ready() : undefined;
      if (ready !== undefined) (waits ??= []).push(ready);
    }
    return waits && Promise.all(waits).then(() => undefined);
  }

  record(event: AuditEvent, place?: 'in_transaction'): Promise<void> {
    return this.#tell([event], place === 'in_transaction');
  }

  recordAll(events: readonly AuditEvent[]): Promise<void> {
    return this.#tell(events, false);
  }

  /** A signature over all there is; resolves once it is written. */
  async checkpoint(kind: CheckpointKind): Promise<void> {
    while (this.#signing !== undefined) await this.#signing;
    const { onCheckpoint } = this.#options;
    let written: Promise<unknown> = Promise.resolve();
    const signing = this.#sign(kind).then(
      (event) => {
        written = this.#write([event], this.#options.clock.now(), false);
      },
      (error: unknown) => {
        written = Promise.reject(asError(error));
      },
    );
    this.#signing = signing.finally(() => {
      written.catch(() => undefined); // whoever asked for the checkpoint hears of it
      this.#signing = undefined;
      this.#seal();
    });
    await this.#signing;
    await written;
    await onCheckpoint?.(this.#head);
  }

  /** Records end one file and begin the next. */
  async rotate(): Promise<void> {
    await this.checkpoint('rotation');
    await this.#enqueue([this.#opened('rotation')], false);
  }

  /** Nothing can be recorded any more. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    await this.checkpoint('close').catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'the audit log ends without a signature');
    });
    this.#isClosed = true;
    await Promise.all(this.#options.lines.map((line) => line.close()));
  }

  async #tell(events: readonly AuditEvent[], isInTransaction: boolean): Promise<void> {
    const { lines, clock, goesOnWithout, onRecorded } = this.#options;
    if (events.length === 0 || lines.length === 0) return;
    const startMs = clock.monotonicMs();
    try {
      await this.#enqueue(events, isInTransaction);
    } catch (error) {
      if (!goesOnWithout) throw error;
      this.#goneOnWithout(error);
      return;
    }
    if (onRecorded === undefined) return;
    const seconds = (clock.monotonicMs() - startMs) / 1000;
    onRecorded(
      events.map(({ result }) => result),
      seconds,
    );
  }

  async #enqueue(events: readonly AuditEvent[], isInTransaction: boolean): Promise<void> {
    const { clock, lines } = this.#options;
    if (this.#isClosed) throw new BonafideError('unavailable', 'the audit log is closed: the server stops');
    const full = lines.find((line) => line.isRequired && !line.hasRoom);
    if (full !== undefined) {
      this.#dropped += events.length;
      throw full.problem ?? new BonafideError('unavailable', `the audit log is behind: ${full.sink.name}`);
    }
    const sealed = new Promise<{ written: Promise<unknown> }>((resolve) => {
      this.#incoming.push({
        ...{ events, time: clock.now(), isInTransaction },
        resolve: (written) => {
          resolve({ written });
        },
      });
    });
    this.#seal();
    await (
      await sealed
    ).written;
  }

  /** In one turn, so that the order of the chain is the order of the lines of every sink. */
  #seal(): void {
    if (this.#signing !== undefined) return;
    const incoming = this.#incoming;
    this.#incoming = [];
    this.#noteDropped();
    for (const { events, time, isInTransaction, resolve } of incoming) {
      resolve(this.#write(events, time, isInTransaction));
    }
    if (this.#unsigned === 0 || this.#isClosed) return;
    const { events, ms } = this.#options.checkpointEvery ?? CHECKPOINT_EVERY;
    if (this.#unsigned >= events) this.#checkpointSoon();
    else
      this.#timer ??= this.#options.clock.schedule(ms, () => {
        this.#checkpointSoon();
      });
  }

  #checkpointSoon(): void {
    this.checkpoint('interval').catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the audit log is not signed yet');
    });
  }

  #write(events: readonly AuditEvent[], time: Date, isInTransaction: boolean): Promise<unknown> {
    const sealed = events.map((event) => this.#sealOne(event, time));
    this.#unsigned += sealed.length;
    return Promise.all(
      this.#options.lines.map(async (line) => {
        const written = line.push(sealed);
        if (line.isRequired && !(isInTransaction && line.sink.usesDatabase)) await written;
        else written.catch(() => undefined); // it is in the log, and what waits is tried again
      }),
    );
  }

  #sealOne(event: AuditEvent, time: Date): AuditLine {
    const { serverId } = this.#options;
    const place = { serverId, seq: this.#head.seq + 1, prev: this.#head.hash };
    const beginsFile = event.event === 'audit_log_opened' && event.details?.['reason'] === 'rotation';
    const line = sealEvent(event, time, place, beginsFile);
    this.#head = { seq: line.seq, hash: line.hash };
    return line;
  }

  /** Nothing is sealed meanwhile, so that it stands right after what it vouches for. */
  async #sign(kind: CheckpointKind): Promise<AuditEvent> {
    const { signer, serverId } = this.#options;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { seq, hash } = this.#head;
    const signature = await signCheckpoint(signer, { serverId, seq, hash, kind });
    const details = { kind, key_id: keyIdOf(publicKeyText(signer)), signature };
    this.#unsigned = -1; // the checkpoint itself does not want another one
    return { event: 'audit_checkpoint', result: 'success', actor: SERVER, details };
  }

  #opened(reason: 'start' | 'rotation'): AuditEvent {
    const key = publicKeyText(this.#options.signer);
    const details = { reason, key, key_id: keyIdOf(key), algorithm: 'ecdsa-p256-sha256' };
    return { event: 'audit_log_opened', result: 'success', actor: SERVER, details };
  }

  #goneOnWithout(error: unknown): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#loggedAtMs !== undefined && nowMs - this.#loggedAtMs < LOG_EVERY_MS) return;
    this.#loggedAtMs = nowMs;
    log.error({ err: error }, 'events are not in the audit log, and the server goes on (audit.on_failure)');
  }

  #noteDropped(): void {
    const { lines, clock } = this.#options;
    if (this.#dropped === 0 || lines.some((line) => line.isRequired && line.problem !== undefined)) return;
    const details = { count: this.#dropped };
    this.#dropped = 0;
    const event = { event: 'audit_events_dropped', result: 'failure', actor: SERVER, details } as const;
    this.#write([event], clock.now(), true).catch(() => undefined); // it waits in line
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
