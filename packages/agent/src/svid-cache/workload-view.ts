/** What all callers with the same selectors see: computed once, handed to each of them, and again whenever its content changes. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { CachedEntry } from './cached-entry.js';
import type { ViewContent, ViewKind } from './view-kind.js';
import type { Subscription } from './workload-identities.js';

interface Subscriber<Update> {
  readonly listener: (update: Update) => void;
  delivered: Update | undefined;
}

/** A view as the cache handles it, whatever it shows. */
export interface CacheView {
  readonly matches: Set<CachedEntry>;
  /** Whether X.509-SVIDs are to be obtained for what matches. */
  readonly needsSvids: boolean;
  /** Looks again at everything the view shows; tells the subscribers if that differs from what they were told. */
  refresh(): void;
}

interface WorkloadViewOptions<Update> {
  readonly kind: ViewKind<Update>;
  readonly content: ViewContent;
  readonly log: Logger;
  /** The last subscriber has gone. */
  readonly abandon: (view: WorkloadView<Update>) => void;
}

export class WorkloadView<Update> implements CacheView {
  readonly matches = new Set<CachedEntry>();
  readonly #options: WorkloadViewOptions<Update>;
  readonly #subscribers = new Set<Subscriber<Update>>();
  #current: Update | undefined;

  constructor(options: WorkloadViewOptions<Update>) {
    this.#options = options;
  }

  get needsSvids(): boolean {
    return this.#options.kind.needsSvids;
  }

  /** The first call comes after this method has returned, so that the caller holds its subscription by then. */
  subscribe(listener: (update: Update) => void): Subscription {
    const subscriber: Subscriber<Update> = { listener, delivered: undefined };
    this.#subscribers.add(subscriber);
    queueMicrotask(() => {
      this.refresh();
      if (this.#current !== undefined) this.#deliver(subscriber, this.#current);
    });
    return {
      close: () => {
        this.#close(subscriber);
      },
    };
  }

  refresh(): void {
    const { content, kind } = this.#options;
    if (this.#subscribers.size === 0) return;
    if (this.#current === undefined && kind.isWaiting(this.matches, content)) return;
    const update = kind.compose(this.matches, content);
    const isNews = this.#current === undefined || !kind.hasSameContent(this.#current, update);
    if (isNews) {
      this.#current = update;
      for (const subscriber of [...this.#subscribers]) this.#deliver(subscriber, update);
    }
  }

  #deliver(subscriber: Subscriber<Update>, update: Update): void {
    if (!this.#subscribers.has(subscriber) || subscriber.delivered === update) return;
    subscriber.delivered = update;
    try {
      subscriber.listener(update);
    } catch (error) {
      this.#options.log.error(
        { err: error },
        `a subscriber of the SVID cache failed and is closed: ${errorMessage(error)}`,
      );
      this.#close(subscriber);
    }
  }

  #close(subscriber: Subscriber<Update>): void {
    if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) this.#options.abandon(this);
  }
}

export function refresh(views: Iterable<CacheView>): void {
  for (const view of views) view.refresh();
}
