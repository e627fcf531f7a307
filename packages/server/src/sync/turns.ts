/** Shares the thread: of many streams with something to send, only so much is done in one turn of the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '@bonafide/shared/runtime/clock';

/** Changes come first: a page of a snapshot is only begun in a turn that has done little for snapshots so far. */
export type TurnKind = 'change' | 'snapshot';

interface Budget {
  /** Of the thread's time; the last piece of work that is begun within it may take longer. */
  readonly ms: number;
  readonly pieces: number;
}

/** Together about half of what a timer or a call may have to wait. */
const BUDGETS: Readonly<Record<TurnKind, Budget>> = {
  change: { ms: 8, pieces: 256 },
  snapshot: { ms: 4, pieces: 32 },
};
const KINDS: readonly TurnKind[] = ['change', 'snapshot'];

export class Turns {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #waiting: Readonly<Record<TurnKind, Set<() => void>>> = { change: new Set(), snapshot: new Set() };
  #isRunning = false;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /**
   * Has the work done when its turn comes, in order of arrival among its kind, and resolves to its outcome.
   * @param work is counted up to the first time that it waits for something.
   */
  do<T>(kind: TurnKind, work: () => Promise<T>): Promise<T> {
    const done = new Promise<T>((resolve) => {
      this.#waiting[kind].add(() => {
        resolve(work());
      });
    });
    if (!this.#isRunning) {
      this.#isRunning = true;
      void this.#run();
    }
    return done;
  }

  async #run(): Promise<void> {
    while (KINDS.some((kind) => this.#waiting[kind].size > 0)) {
      for (const kind of KINDS) this.#work(kind);
      await nextTurn();
    }
    this.#isRunning = false;
  }

  #work(kind: TurnKind): void {
    const { ms, pieces } = BUDGETS[kind];
    const waiting = this.#waiting[kind];
    const startedMs = this.#clock.monotonicMs();
    let done = 0;
    for (const piece of waiting) {
      waiting.delete(piece);
      piece();
      done += 1;
      if (done >= pieces || this.#clock.monotonicMs() - startedMs >= ms) return;
    }
  }
}
