/** What all callers with the same selectors see: computed once, handed to each of them, and again whenever its content changes. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { compareByAge, type CachedEntry } from './cached-entry.js';
import type { Subscription, WorkloadIdentity, WorkloadUpdate } from './workload-identities.js';

type Listener = (update: WorkloadUpdate) => void;

interface Subscriber {
  readonly listener: Listener;
  delivered: WorkloadUpdate | undefined;
}

/** The parts of the cache that a view reads. */
export interface ViewSource {
  readonly trustDomain: TrustDomain;
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>;
  readonly log: Logger;
  now(): Date;
  /** The last subscriber of the view has gone. */
  abandon(view: WorkloadView): void;
}

export class WorkloadView {
  readonly key: string;
  readonly selectors: ReadonlySet<string>;
  readonly matches = new Set<CachedEntry>();
  readonly #source: ViewSource;
  readonly #subscribers = new Set<Subscriber>();
  #current: WorkloadUpdate | undefined;

  constructor(key: string, selectors: ReadonlySet<string>, source: ViewSource) {
    this.key = key;
    this.selectors = selectors;
    this.#source = source;
  }

  /** The first call comes after this method has returned, so that the caller holds its subscription by then. */
  subscribe(listener: Listener): Subscription {
    const subscriber: Subscriber = { listener, delivered: undefined };
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

  /** Looks again at everything the view shows; tells the subscribers if that differs from what they were told. */
  refresh(): void {
    if (this.#subscribers.size === 0 || (this.#current === undefined && this.#isWaiting())) return;
    const update = this.#compose();
    const isNews = this.#current === undefined || !hasSameContent(this.#current, update);
    if (isNews) {
      this.#current = update;
      for (const subscriber of [...this.#subscribers]) this.#deliver(subscriber, update);
    }
  }

  /** A first answer is worth waiting for while SVIDs are on their way, and while there is none at all although entries match. */
  #isWaiting(): boolean {
    if (this.matches.size === 0) return false;
    const now = this.#source.now();
    let hasSvid = false;
    for (const { isSettled, svid } of this.matches) {
      if (!isSettled) return true;
      hasSvid ||= svid !== undefined && svid.notAfter > now;
    }
    return !hasSvid;
  }

  #compose(): WorkloadUpdate {
    const { trustDomain, bundles: known } = this.#source;
    const now = this.#source.now();
    const identities: WorkloadIdentity[] = [];
    const bundles = new Map<TrustDomain, TrustBundle>();
    const addBundle = (name: TrustDomain): void => {
      const bundle = known.get(name);
      if (bundle !== undefined) bundles.set(name, bundle);
    };
    addBundle(trustDomain);
    for (const { entry, svid } of [...this.matches].sort(compareByAge)) {
      if (svid === undefined || svid.notAfter <= now) continue;
      identities.push({ entry, svid });
      entry.federatesWith.forEach(addBundle);
    }
    return { identities, trustDomain, bundles };
  }

  #deliver(subscriber: Subscriber, update: WorkloadUpdate): void {
    if (!this.#subscribers.has(subscriber) || subscriber.delivered === update) return;
    subscriber.delivered = update;
    try {
      subscriber.listener(update);
    } catch (error) {
      this.#source.log.error(
        { err: error },
        `a subscriber of the SVID cache failed and is closed: ${errorMessage(error)}`,
      );
      this.#close(subscriber);
    }
  }

  #close(subscriber: Subscriber): void {
    if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) this.#source.abandon(this);
  }
}

/** SVIDs and bundles are never changed in place, so the same content is the same objects. */
function hasSameContent(a: WorkloadUpdate, b: WorkloadUpdate): boolean {
  if (a.identities.length !== b.identities.length || a.bundles.size !== b.bundles.size) return false;
  for (const [index, { svid }] of a.identities.entries()) {
    if (b.identities[index]?.svid !== svid) return false;
  }
  for (const [name, bundle] of a.bundles) if (b.bundles.get(name) !== bundle) return false;
  return true;
}
