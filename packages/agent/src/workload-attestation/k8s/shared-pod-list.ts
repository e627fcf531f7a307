/** The pods of this node, asked for at most once at a time however many want to know. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { PodList } from './pod-list.js';

/** What came of one request. */
export interface PodListAnswer {
  /** When the request began, monotonic: the list is not older. */
  readonly startedMs: number;
  readonly outcome:
    | { readonly kind: 'pods'; readonly pods: PodList['pods'] }
    | { readonly kind: 'failure'; readonly error: unknown };
}

interface SharedPodListOptions {
  readonly listPods: (signal: AbortSignal) => Promise<PodList>;
  /** Between the requests of who waits for a pod. */
  readonly pollIntervalMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Waiter {
  /** Of the answers before it, the one that was no help. */
  readonly after: PodListAnswer | undefined;
  readonly notBeforeMs: number;
  /** When a request is to begin for it, if none does earlier for another. */
  readonly dueMs: number;
  readonly resolve: (answer: PodListAnswer) => void;
  readonly reject: (error: BonafideError) => void;
}

/** A label may change: nobody is answered from a list that was asked for longer before than this. */
const OLDEST_LIST_MS = 500;

export class SharedPodList {
  readonly #options: SharedPodListOptions;
  /** And the least time between the beginnings of two requests. */
  readonly #oldestMs: number;
  readonly #failures: RefusalLog<'kubelet' | 'pod'>;
  readonly #waiters = new Set<Waiter>();
  readonly #stop = new AbortController();
  #last: PodListAnswer | undefined;
  #lastStartMs = -Infinity;
  #isAsking = false;
  #timer: Timer | undefined;

  constructor(options: SharedPodListOptions) {
    this.#options = options;
    this.#oldestMs = Math.min(OLDEST_LIST_MS, options.pollIntervalMs);
    this.#failures = new RefusalLog(options);
  }

  /**
   * The answer to a request that began no longer than half a second (or the interval, if that is less) before this call.
   * @param after the answer that did not help: the next one is to be of a later request, which begins an interval after it or earlier.
   * @throws BonafideError `cancelled`; `unavailable` once closed. A failure of the kubelet is an answer.
   */
  async next(after: PodListAnswer | undefined, signal: AbortSignal): Promise<PodListAnswer> {
    if (signal.aborted) throw cancelled();
    if (this.#stop.signal.aborted) throw closed();
    const nowMs = this.#options.clock.monotonicMs();
    const notBeforeMs = nowMs - this.#oldestMs;
    if (this.#last !== undefined && isAnswer({ after, notBeforeMs }, this.#last)) return this.#last;
    const dueMs = Math.max(
      this.#lastStartMs + this.#oldestMs,
      after === undefined ? nowMs : after.startedMs + this.#options.pollIntervalMs,
    );
    return await new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        ...{ after, notBeforeMs, dueMs },
        resolve: (answer) => {
          leave();
          resolve(answer);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      const onAbort = (): void => {
        waiter.reject(cancelled());
        this.#schedule();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
      this.#schedule();
    });
  }

  close(): void {
    this.#stop.abort();
    for (const waiter of [...this.#waiters]) waiter.reject(closed());
    this.#schedule();
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#isAsking || this.#waiters.size === 0) return;
    const dueMs = Math.min(...[...this.#waiters].map((waiter) => waiter.dueMs));
    const delayMs = dueMs - this.#options.clock.monotonicMs();
    if (delayMs <= 0) void this.#ask();
    else this.#timer = this.#options.clock.schedule(delayMs, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    this.#lastStartMs = this.#options.clock.monotonicMs();
    const answer = { startedMs: this.#lastStartMs, outcome: await this.#request() };
    this.#isAsking = false;
    this.#last = answer;
    for (const waiter of [...this.#waiters]) if (isAnswer(waiter, answer)) waiter.resolve(answer);
    this.#schedule();
  }

  async #request(): Promise<PodListAnswer['outcome']> {
    try {
      const { pods, unreadable } = await this.#options.listPods(this.#stop.signal);
      if (unreadable > 0) {
        this.#failures.warn('pod', { pods: unreadable }, 'the kubelet has pods that are not readable');
      }
      return { kind: 'pods', pods };
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#failures.warn('kubelet', { reason: errorMessage(error) }, 'cannot get the pods of this node');
      }
      return { kind: 'failure', error };
    }
  }
}

function isAnswer(
  { after, notBeforeMs }: Pick<Waiter, 'after' | 'notBeforeMs'>,
  answer: PodListAnswer,
): boolean {
  const isLater = after === undefined || (answer !== after && answer.startedMs >= after.startedMs);
  return isLater && answer.startedMs >= notBeforeMs;
}

function cancelled(): BonafideError {
  return new BonafideError('cancelled', 'cancelled while waiting for the pods of this node');
}

function closed(): BonafideError {
  return new BonafideError('unavailable', 'the agent stops and asks for no pods any more');
}
