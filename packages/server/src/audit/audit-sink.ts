/** Where records of the audit log go, and the line in which they wait for it: those that come together are written together. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AuditLine } from './audit-record.js';

export interface AuditSink {
  /** For messages, for example `the file /var/log/audit.log`. */
  readonly name: string;
  /** Whether it is in the server's own database, which a transaction that waits for it would block. */
  readonly usesDatabase: boolean;
  /** Resolves once all of them are where they survive a crash; when it rejects, none of them is. */
  write(lines: readonly AuditLine[]): Promise<void>;
  /** Undefined: there is room, as far as is known. Rejects when there is none. */
  room(): Promise<void> | undefined;
  close(): Promise<void>;
}

export interface SinkLineOptions {
  readonly sink: AuditSink;
  readonly isRequired: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Waiting {
  readonly lines: readonly AuditLine[];
  readonly bytes: number;
  /** Undefined once it was told that they could not be written; they stay in line all the same. */
  settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;
}

const MOST_WAITING_BYTES = 16 * 1024 * 1024;
const MOST_BYTES_A_WRITE = 4 * 1024 * 1024;
const RETRY_MS = 1_000;
/** Calls that ask whether it works again have it tried this often. */
const SOONEST_RETRY_MS = 100;
const LOG_EVERY_MS = 10_000;

export class SinkLine {
  readonly sink: AuditSink;
  readonly isRequired: boolean;
  readonly #options: SinkLineOptions;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #running: Promise<void> | undefined;
  #problem: BonafideError | undefined;
  #triedAtMs = 0;
  #loggedAtMs: number | undefined;
  #timer: Timer | undefined;
  #dropped = 0;

  constructor(options: SinkLineOptions) {
    this.#options = options;
    this.sink = options.sink;
    this.isRequired = options.isRequired;
  }

  /** What keeps it from being written. */
  get problem(): BonafideError | undefined {
    return this.#problem;
  }

  get hasRoom(): boolean {
    return this.#waitingBytes < MOST_WAITING_BYTES;
  }

  /** How many lines it never had, because it was behind. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Rejects when they could not be written; they are tried again before anything else is. */
  push(lines: readonly AuditLine[]): Promise<void> {
    const bytes = lines.reduce((sum, { text }) => sum + text.length, 0);
    if (!this.hasRoom) {
      this.#dropped += lines.length;
      return Promise.reject(this.#problem ?? this.#unavailable('it is behind'));
    }
    const written = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ lines, bytes, settle: { resolve, reject } });
      this.#waitingBytes += bytes;
    });
    void this.#run();
    return written;
  }

  /** Undefined: as far as is known it can be written. Rejects when it cannot. */
  ready(): Promise<void> | undefined {
    if (this.#problem === undefined) return this.#room();
    return this.#tryAgain();
  }

  /** What waits is tried once more. */
  async close(): Promise<void> {
    await this.#run();
    this.#timer?.cancel();
    await this.sink.close();
  }

  #room(): Promise<void> | undefined {
    return this.sink.room()?.catch((error: unknown) => {
      throw this.#failed(error);
    });
  }

  async #tryAgain(): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#running === undefined && nowMs - this.#triedAtMs < SOONEST_RETRY_MS) throw this.#cause();
    await this.#run();
    if (this.#problem !== undefined) throw this.#cause();
  }

  #cause(): BonafideError {
    return this.#problem ?? this.#unavailable('it failed');
  }

  /** Never rejects. */
  #run(): Promise<void> {
    this.#running ??= this.#writeAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #writeAll(): Promise<void> {
    await Promise.resolve(); // those who come in this turn are written together
    this.#timer?.cancel();
    this.#triedAtMs = this.#options.clock.monotonicMs();
    try {
      await this.sink.room();
      while (this.#waiting.length > 0) {
        const some = this.#take();
        await this.sink.write(some.flatMap(({ lines }) => lines));
        this.#waiting.splice(0, some.length);
        for (const { bytes, settle } of some) {
          this.#waitingBytes -= bytes;
          settle?.resolve();
        }
      }
      this.#recovered();
    } catch (error) {
      this.#failed(error);
      this.#timer = this.#options.clock.schedule(RETRY_MS, () => void this.#run());
    }
  }

  #take(): readonly Waiting[] {
    let bytes = 0;
    const count = this.#waiting.findIndex((waiting) => (bytes += waiting.bytes) > MOST_BYTES_A_WRITE);
    return this.#waiting.slice(0, count === -1 ? undefined : Math.max(1, count));
  }

  #recovered(): void {
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    this.#loggedAtMs = undefined;
    this.#options.log.info(`audit events are written again to ${this.sink.name}`);
  }

  #failed(error: unknown): BonafideError {
    const { clock, log } = this.#options;
    this.#problem = this.#unavailable(errorMessage(error), error);
    const nowMs = clock.monotonicMs();
    if (this.#loggedAtMs === undefined || nowMs - this.#loggedAtMs >= LOG_EVERY_MS) {
      this.#loggedAtMs = nowMs;
      const effect = this.isRequired ? 'nothing is issued or changed until it can' : 'it is best effort';
      log.error({ err: error }, `${this.#problem.message}; ${effect}`);
    }
    for (const waiting of this.#waiting) {
      waiting.settle?.reject(this.#problem);
      waiting.settle = undefined;
    }
    return this.#problem;
  }

  #unavailable(problem: string, cause?: unknown): BonafideError {
    return new BonafideError(
      'unavailable',
      `the audit log cannot be written to ${this.sink.name}: ${problem}`,
      { cause, retryAfterMs: RETRY_MS },
    );
  }
}
