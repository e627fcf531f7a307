/** The last changes with the agents they concern, so that an agent which was away for a while gets what it missed and not everything. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { GraphChange } from '../entry-graph/graph-change.js';
import type { LogPosition } from '../store/store.js';

export const MAX_CHANGES = 10_000;
/** Names of agents and entries remembered in all; about 8 bytes each. */
export const MAX_NAMES = 1_000_000;

export interface MissedChanges {
  readonly entryIds: ReadonlySet<string>;
  readonly trustDomains: ReadonlySet<TrustDomain>;
}

export class ChangeHistory {
  /** From the oldest to the newest; those before `#first` are forgotten and wait to be cut off. */
  #changes: GraphChange[] = [];
  #first = 0;
  #names = 0;
  /** The history is complete after this revision. */
  #since: number;
  /** Of the commits that a cursor may name, by revision. */
  readonly #nonces: Map<number, string>;
  #newest: LogPosition;

  /** @param since what follows it will be appended. */
  constructor(since: LogPosition) {
    this.#since = since.revision;
    this.#nonces = new Map([[since.revision, since.nonce]]);
    this.#newest = since;
  }

  /** The last commit it knows of. */
  get newest(): LogPosition {
    return this.#newest;
  }

  get since(): number {
    return this.#since;
  }

  /** What it remembers, oldest first. */
  get changes(): readonly GraphChange[] {
    return this.#changes.slice(this.#first);
  }

  append(change: GraphChange): void {
    this.#changes.push(change);
    this.#names += namesIn(change);
    for (const commit of change.commits) {
      // Those that were read while the registry was being loaded are in it already.
      if (commit.revision > this.#newest.revision) this.#newest = commit;
      if (commit.revision > this.#since) this.#nonces.set(commit.revision, commit.nonce);
    }
    while (this.#changes.length - this.#first > MAX_CHANGES || this.#names > MAX_NAMES) {
      const oldest = this.#changes[this.#first];
      if (oldest === undefined) break;
      this.#names -= namesIn(oldest);
      this.#forgetUntil(oldest.revision);
      this.#first += 1;
    }
    if (this.#first > MAX_CHANGES) {
      this.#changes = this.#changes.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Undefined when that is not known, when what the agent held then counts no more, or when the commit is not one of this log. */
  missedBy(agentId: SpiffeId, { revision, nonce }: LogPosition): MissedChanges | undefined {
    if (nonce === '' || this.#nonces.get(revision) !== nonce) return undefined;
    const missed = this.#after(revision);
    if (missed === undefined || missed.some((change) => change.resets.includes(agentId))) return undefined;
    const entryIds = new Set<string>();
    const trustDomains = new Set<TrustDomain>();
    for (const { reaches, bundles } of missed) {
      for (const trustDomain of bundles) trustDomains.add(trustDomain);
      for (const reach of reaches) {
        if (!reach.agents.includes(agentId)) continue;
        for (const id of reach.entryIds) entryIds.add(id);
        for (const trustDomain of reach.trustDomains) trustDomains.add(trustDomain);
      }
    }
    return { entryIds, trustDomains };
  }

  #forgetUntil(revision: number): void {
    for (let forgotten = this.#since; forgotten < revision; forgotten += 1) this.#nonces.delete(forgotten);
    this.#since = Math.max(this.#since, revision);
  }

  #after(revision: number): readonly GraphChange[] | undefined {
    if (revision < this.#since) return undefined;
    let low = this.#first;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return this.#changes.slice(low);
  }
}

export function namesIn(change: Pick<GraphChange, 'reaches'>): number {
  return change.reaches.reduce((sum, reach) => sum + reach.agents.length + reach.entryIds.length, 1);
}
