/** How large the next batch may be and when it may go out: failures slow it down, answers speed it up again. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { retryAfterMs, retryPauseMs } from '../agent-identity/retry-pause.js';
import { BatchLimit } from './batch-limit.js';

const RETRY = { initialMs: 500, maximumMs: 30_000, leastPart: 0.1 };

export class BatchPace {
  readonly #limit = new BatchLimit();
  readonly #retry: Backoff;
  readonly #random: () => number;
  #retryAt: Date | undefined;
  /** The last batch did not reach the server: it is worth trying again as soon as somebody else does. */
  #mayHurry = false;
  #wasAway = false;

  /** @param random a number in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
    this.#retry = new Backoff({ ...RETRY, random });
  }

  /** Of the next batch, at most. */
  get size(): number {
    return this.#limit.size;
  }

  /** Until when the next batch has to wait; undefined: it may go out. */
  waitsUntil(now: Date): Date | undefined {
    return this.#retryAt !== undefined && this.#retryAt > now ? this.#retryAt : undefined;
  }

  /** @returns whether the server had been away. */
  succeeded(): boolean {
    this.#limit.grow();
    this.#retry.reset();
    this.#retryAt = undefined;
    const wasAway = this.#wasAway;
    this.#wasAway = false;
    return wasAway;
  }

  /** @returns how long the next batch has to wait, in milliseconds. */
  failed(error: unknown, now: Date): number {
    const isAway = hasReason(error, 'unavailable', 'deadline_exceeded');
    const wasTurnedAway = retryAfterMs(error) > 0;
    // A server that cannot be reached, or is busy, says nothing about the size of the batch.
    if (!hasReason(error, 'unavailable', 'cancelled') && !wasTurnedAway) this.#limit.shrink();
    const delayMs = retryPauseMs(this.#retry.nextDelayMs(), error, this.#random);
    this.#retryAt = new Date(now.getTime() + delayMs);
    this.#wasAway ||= isAway;
    this.#mayHurry = isAway && !wasTurnedAway;
    return delayMs;
  }

  /** The server is heard again. @returns whether a batch that could not reach it need not wait any longer. */
  hurry(): boolean {
    if (!this.#mayHurry) return false;
    this.#mayHurry = false;
    this.#retryAt = undefined;
    return true;
  }

  /** The clock was set back: the end of the wait may be far away now. */
  waitNoLonger(): void {
    this.#retryAt = undefined;
  }
}
