/** What an agent's SVID cache would know, said by the test: entries by selectors, each with its SVID, and bundles. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import {
  formatSelector,
  isSubset,
  parseSelector,
  type Selector,
} from '@bonafide/shared/registration/selector';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

interface Identity {
  readonly entry: RegistrationEntry;
  readonly svid: X509Svid;
}

interface Update {
  readonly identities: readonly Identity[];
  readonly trustDomain: TrustDomain;
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

interface Entries {
  readonly entries: readonly RegistrationEntry[];
  readonly trustDomain: TrustDomain;
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

interface Subscriber {
  readonly selectors: ReadonlySet<string>;
  readonly listener: (update: Update) => void;
}

export interface MemoryContent {
  /** In the order in which callers get them. */
  readonly entries: readonly {
    /** `type:value` each. */
    readonly selectors: readonly string[];
    readonly svid: X509Svid;
    readonly hint?: string;
  }[];
  /** The first is of the own trust domain. */
  readonly bundles: readonly TrustBundle[];
}

/** Fits the agent's `WorkloadIdentities`; subscribers with the same matches are given the same update. */
export class MemoryIdentities {
  readonly #trustDomain: TrustDomain;
  readonly #subscribers = new Set<Subscriber>();
  #identities: readonly Identity[] = [];
  #bundles: ReadonlyMap<TrustDomain, TrustBundle> = new Map();
  /** By what matches; of the present content. */
  #updates = new Map<string, Update>();

  constructor(trustDomain: TrustDomain) {
    this.#trustDomain = trustDomain;
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  /** The selectors of everyone who is subscribed, for a test that asks what was attested. */
  get subscribedSelectors(): readonly ReadonlySet<string>[] {
    return [...this.#subscribers].map(({ selectors }) => selectors);
  }

  /** Replaces everything and tells every subscriber. */
  set({ entries, bundles }: MemoryContent): void {
    this.#identities = entries.map(({ selectors, svid, hint }, index) => ({
      svid,
      entry: this.#entry(index, selectors.map(parseSelector), svid, hint),
    }));
    this.#bundles = new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
    this.#updates = new Map();
    for (const { selectors, listener } of [...this.#subscribers]) listener(this.#updateFor(selectors));
  }

  subscribe(selectors: readonly Selector[], listener: (update: Update) => void): { close(): void } {
    const subscriber = { selectors: new Set(selectors.map(formatSelector)), listener };
    this.#subscribers.add(subscriber);
    queueMicrotask(() => {
      if (this.#subscribers.has(subscriber)) listener(this.#updateFor(subscriber.selectors));
    });
    return { close: () => void this.#subscribers.delete(subscriber) };
  }

  follow(selectors: readonly Selector[], listener: (update: Entries) => void): { close(): void } {
    return this.subscribe(selectors, (update) => {
      listener(entriesOf(update));
    });
  }

  matching(selectors: readonly Selector[]): Entries {
    return entriesOf(this.#updateFor(new Set(selectors.map(formatSelector))));
  }

  #updateFor(selectors: ReadonlySet<string>): Update {
    const identities = this.#identities.filter(({ entry }) =>
      isSubset(new Set(entry.selectors.map(formatSelector)), selectors),
    );
    const key = identities.map(({ entry }) => entry.id).join();
    const update = this.#updates.get(key) ?? {
      identities,
      trustDomain: this.#trustDomain,
      bundles: this.#bundles,
    };
    this.#updates.set(key, update);
    return update;
  }

  #entry(
    index: number,
    selectors: readonly Selector[],
    { spiffeId }: X509Svid,
    hint: string | undefined,
  ): RegistrationEntry {
    return {
      id: `entry-${index}`,
      spiffeId,
      parentId: agentId(this.#trustDomain, 'join_token', 'test'),
      selectors,
      x509SvidTtlSeconds: undefined,
      jwtSvidTtlSeconds: undefined,
      federatesWith: [],
      isAdmin: false,
      isDownstream: false,
      expiresAt: undefined,
      dnsNames: [],
      storesSvid: false,
      hint,
      disablesX509SvidPrefetch: false,
      includesJwtSvidJti: false,
      revisionNumber: 0,
      createdAt: new Date(index * 1000),
    };
  }
}

function entriesOf({ identities, trustDomain, bundles }: Update): Entries {
  return { entries: identities.map(({ entry }) => entry), trustDomain, bundles };
}
