/** Waits until this server knows what other servers on the database had committed by now: an agent may be faster than the change log. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { Store } from '../store/store.js';

export interface CloseFollowingOptions {
  readonly store: Pick<Store, 'currentRevision'>;
  readonly graph: Pick<EntryGraph, 'revision' | 'subscribe'>;
  readonly clock: Clock;
}

const LIMIT_MS = 3_000;
const RETRY_AFTER_MS = 1_000;

/** However many wait, the database is asked one question at a time: who is unknown may call as often as they like. */
export class CloseFollowing {
  readonly #options: CloseFollowingOptions;
  #question: Promise<number> | undefined;
  /** To be asked after the one under way, which may be older than who waits for this one. */
  #nextQuestion: Promise<number> | undefined;

  constructor(options: CloseFollowingOptions) {
    this.#options = options;
  }

  /** @throws BonafideError `unavailable` when that takes seconds, or the database cannot say. */
  async follow(): Promise<void> {
    const { graph, clock } = this.#options;
    let unsubscribe = (): void => undefined;
    const reach = async (): Promise<void> => {
      const revision = await this.#currentRevision();
      if (isOver || graph.revision >= revision) return;
      await new Promise<void>((resolve) => {
        unsubscribe = graph.subscribe(() => {
          if (graph.revision >= revision) resolve();
        });
      });
    };
    let isOver = false;
    try {
      await withTimeLimit(clock, LIMIT_MS, 'the database', reach());
    } catch (error) {
      throw new BonafideError('unavailable', 'the server cannot tell now who you are; try again', {
        cause: error,
        retryAfterMs: RETRY_AFTER_MS,
      });
    } finally {
      isOver = true;
      unsubscribe();
    }
  }

  #currentRevision(): Promise<number> {
    if (this.#question === undefined) return this.#ask();
    this.#nextQuestion ??= this.#question.then(
      () => this.#ask(),
      () => this.#ask(),
    );
    return this.#nextQuestion;
  }

  #ask(): Promise<number> {
    this.#nextQuestion = undefined;
    const question = this.#options.store.currentRevision().finally(() => {
      if (this.#question === question) this.#question = undefined;
    });
    this.#question = question;
    return question;
  }
}
