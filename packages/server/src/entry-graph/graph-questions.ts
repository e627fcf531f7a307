/** The questions that the registry in memory answers; none of them costs a query. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AttestedNode } from '../store/node-record.js';
import { EntryIndex } from './entry-index.js';
import type { GraphEntry } from './graph-entry.js';
import { mayHold } from './apply-change.js';
import { NodeIndex } from './node-index.js';
import { agentsUnder, authorizedEntries, isAuthorized } from './reach.js';
import type { Indexes } from './read-registry.js';
import { Standings } from './standing.js';
import { SupposedReach, type SupposedChange } from './supposed-reach.js';

interface GraphQuestionsOptions {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

export class GraphQuestions {
  readonly #trustDomain: TrustDomain;
  readonly #clock: Clock;
  /** Replaced as a whole when everything is read again. */
  protected registry: Indexes;

  protected constructor({ trustDomain, clock }: GraphQuestionsOptions) {
    this.#trustDomain = trustDomain;
    this.#clock = clock;
    this.registry = {
      entries: new EntryIndex(serverId(trustDomain)),
      nodes: new NodeIndex(),
      bundles: new Map(),
    };
  }

  get size(): { readonly entries: number; readonly nodes: number; readonly bundles: number } {
    return {
      entries: this.registry.entries.size,
      nodes: this.registry.nodes.size,
      bundles: this.registry.bundles.size,
    };
  }

  node(agentId: SpiffeId): AttestedNode | undefined {
    return this.registry.nodes.get(agentId);
  }

  /** Ordered by agent ID. */
  quarantinedNodes(): readonly AttestedNode[] {
    return this.registry.nodes.inQuarantine();
  }

  entry(entryId: string): RegistrationEntry | undefined {
    return this.registry.entries.get(entryId)?.toRegistrationEntry();
  }

  bundle(trustDomain: TrustDomain): TrustBundle | undefined {
    return this.registry.bundles.get(trustDomain);
  }

  /** Expired ones too. */
  entriesWithSpiffeId(spiffeId: SpiffeId): readonly RegistrationEntry[] {
    return Array.from(this.registry.entries.withSpiffeId(spiffeId), (entry) => entry.toRegistrationEntry());
  }

  /** Expired ones too, whose SPIFFE ID is wanted; some of them, for a walk over all IDs that pauses, see `IdTable.stretch`. */
  entriesNamed(
    isWanted: (spiffeId: SpiffeId) => boolean,
    from: number,
    places: number,
  ): { readonly items: readonly RegistrationEntry[]; readonly next: number | undefined } {
    const { items: names, next } = this.registry.entries.namesAt(from, places);
    const items: RegistrationEntry[] = [];
    for (const name of names) {
      if (name.firstBearer === undefined || !isWanted(name.id)) continue;
      for (const entry of name.bearers()) items.push(entry.toRegistrationEntry());
    }
    return { items, next };
  }

  /** Good as long as nothing is committed. */
  suppose(changes: readonly SupposedChange[]): SupposedReach {
    return new SupposedReach({
      entries: this.registry.entries,
      nodes: this.registry.nodes,
      changes,
      nowMs: this.#nowMs(),
      isTrusted: (agentId) => this.#isTrusted(agentId),
    });
  }

  /** What the agent may have SVIDs for now; nothing for a node that is not attested, is banned or in quarantine. In no particular order. */
  authorizedEntries(agentId: SpiffeId): readonly RegistrationEntry[] {
    return this.#authorized(agentId).map((entry) => entry.toRegistrationEntry());
  }

  /** The entry when the agent may have SVIDs for it now. */
  authorizedEntry(agentId: SpiffeId, entryId: string): RegistrationEntry | undefined {
    const entry = this.registry.entries.get(entryId);
    if (entry === undefined || !this.#isTrusted(agentId)) return undefined;
    const isHeld = isAuthorized(this.registry.entries, this.registry.nodes, agentId, entry, this.#nowMs());
    return isHeld ? entry.toRegistrationEntry() : undefined;
  }

  /** Some of the entries, for a walk over all of them that pauses; see `IdTable.stretch`. */
  entriesAt(from: number, places: number): ReturnType<EntryIndex['stretch']> {
    return this.registry.entries.stretch(from, places);
  }

  standings(agentId: SpiffeId): Standings {
    return new Standings(this.registry.entries, this.registry.nodes, agentId, this.#nowMs());
  }

  /** Our own trust domain, and those that the agent's entries name; not every one of them has a bundle. */
  trustDomainsOf(agentId: SpiffeId): ReadonlySet<TrustDomain> {
    const trustDomains = new Set([this.#trustDomain]);
    for (const { terms } of this.#authorized(agentId)) {
      for (const trustDomain of terms.federatesWith) trustDomains.add(trustDomain);
    }
    return trustDomains;
  }

  /** The agents that a change of the entry would concern: for an alias the nodes that have it. */
  affectedAgents(entry: RegistrationEntry): readonly SpiffeId[] {
    if (this.registry.entries.isAlias(entry)) return this.registry.nodes.withAll(entry.selectors);
    return agentsUnder(this.registry.entries, this.registry.nodes, [entry.parentId]);
  }

  /** The agents that are given what hangs under an ID; those that had it before a change of what is above it are another matter. */
  agentsUnder(parentId: SpiffeId): readonly SpiffeId[] {
    return agentsUnder(this.registry.entries, this.registry.nodes, [parentId]);
  }

  hasChildren(parentId: SpiffeId): boolean {
    return this.registry.entries.hasChildren(parentId);
  }

  /** The agents that are told of the trust domain's bundle: those that hold an entry which names it; of our own, all of them. */
  agentsFollowing(trustDomain: TrustDomain): readonly SpiffeId[] {
    if (trustDomain === this.#trustDomain) return [...this.registry.nodes.ids()];
    const nowMs = this.#nowMs();
    const parentIds = new Set<SpiffeId>();
    for (const entry of this.registry.entries.federatingWith(trustDomain)) {
      if (!entry.isAlias && entry.isLive(nowMs)) parentIds.add(entry.parent.id);
    }
    const agents = agentsUnder(this.registry.entries, this.registry.nodes, parentIds, nowMs);
    return agents.filter((agentId) => this.#isTrusted(agentId));
  }

  /** When the next entry ends by itself; in the past when it has and is not pruned yet. */
  earliestExpiry(): Date | undefined {
    return this.registry.entries.earliestExpiry();
  }

  #authorized(agentId: SpiffeId): readonly GraphEntry[] {
    if (!this.#isTrusted(agentId)) return [];
    return authorizedEntries(this.registry.entries, this.registry.nodes, agentId, this.#nowMs());
  }

  #nowMs(): number {
    return this.#clock.now().getTime();
  }

  #isTrusted(agentId: SpiffeId): boolean {
    const node = this.registry.nodes.get(agentId);
    return node !== undefined && mayHold(node);
  }
}
