/** All that is known of an entry's way to processes: where it hangs, whom it reaches, who has it, and what was ever presented. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { isLive, type RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AccessScope } from '../access/scope.js';
import type { AgentRevisions } from '../delivery/agent-revisions.js';
import type { ConcernedAgents } from '../delivery/concerned-agents.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import { mayHold } from '../entry-graph/apply-change.js';
import type { SelectorSighting } from '../store/selector-sighting-record.js';
import type { Store } from '../store/store.js';
import { entryParent, parentEntry, type EntryParent } from './entry-parent.js';
import { EntryWay } from './entry-way.js';
import { heldEntry, type HeldState } from './held-entry.js';
import { relatedEntries, type RelatedEntry } from './related-entries.js';
import { SeenRegistry } from './seen-registry.js';

export interface EntryExplanation {
  readonly entry: RegistrationEntry;
  readonly isAlias: boolean;
  readonly isExpired: boolean;
  readonly parent: EntryParent;
  /** Those that may serve it; of a node alias the nodes that have it. */
  readonly agentCount: number;
  /** Also those from which it is withheld. Those that lack it first. */
  readonly agents: readonly ExplainedAgent[];
  readonly selectors: readonly ExplainedSelector[];
  readonly missingBundles: readonly TrustDomain[];
  readonly related: readonly RelatedEntry[];
}

export interface ExplainedAgent {
  readonly agentId: SpiffeId;
  /** `withheld`: the agent is banned or in quarantine. */
  readonly state: HeldState | 'withheld';
  readonly since: Date | undefined;
}

export interface ExplainedSelector {
  readonly selector: Selector;
  /** Of a node alias: how many nodes have it. */
  readonly nodes: number;
  readonly sighting: SelectorSighting | undefined;
}

export interface EntryExplanationsOptions {
  readonly store: Pick<Store, 'changesSince' | 'deliveries' | 'selectorSightings'>;
  readonly graph: EntryGraph;
  readonly receipts: Pick<AgentRevisions, 'stateOf'>;
  readonly concerned: Pick<ConcernedAgents, 'of'>;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

const MOST_ENTRIES = 20;
const MOST_AGENTS = 100;
const MOST_LOOKED_AT = 10_000;
const ORDER = { withheld: 0, not_yet: 1, away: 2, unknown: 3, holds: 4 } as const satisfies Record<
  ExplainedAgent['state'],
  number
>;

export class EntryExplanations {
  readonly #options: EntryExplanationsOptions;

  constructor(options: EntryExplanationsOptions) {
    this.#options = options;
  }

  /** @param scope of who asks, here and below: what is outside of it is not there. @throws BonafideError `not_found`. */
  async ofEntry(id: string, scope?: AccessScope): Promise<EntryExplanation> {
    const entry = new SeenRegistry(this.#options.graph, scope).entry(id);
    if (entry === undefined) throw new BonafideError('not_found', `there is no entry ${id}`);
    return this.#explain(entry, scope);
  }

  /** @throws BonafideError `not_found`. */
  async ofSpiffeId(
    spiffeId: SpiffeId,
    scope?: AccessScope,
  ): Promise<{ readonly explanations: readonly EntryExplanation[]; readonly total: number }> {
    const entries = new SeenRegistry(this.#options.graph, scope).entriesWithSpiffeId(spiffeId);
    if (entries.length === 0) throw new BonafideError('not_found', `there is no entry for ${spiffeId}`);
    const explanations = [];
    for (const entry of entries.slice(0, MOST_ENTRIES)) explanations.push(await this.#explain(entry, scope));
    return { explanations, total: entries.length };
  }

  async #explain(entry: RegistrationEntry, scope: AccessScope | undefined): Promise<EntryExplanation> {
    const { clock, graph, trustDomain } = this.#options;
    const seen = new SeenRegistry(graph, scope);
    const context = { graph: seen, trustDomain, now: clock.now() };
    const isAlias = entry.parentId === serverId(trustDomain);
    const reached = seen.affectedAgents(entry);
    const parent = isAlias
      ? { node: undefined, entries: [parentEntry(entry, context)] }
      : entryParent(entry.parentId, context);
    const listed = isAlias ? reached : reached.filter((agentId) => this.#isListed(agentId, entry));
    const serving = listed.filter((agentId) => !this.#isWithheld(agentId));
    return {
      entry,
      isAlias,
      isExpired: !isLive(entry, context.now),
      parent,
      agentCount: isAlias ? reached.length : serving.length,
      agents: await this.#agents(entry, listed),
      selectors: await this.#selectors(entry, isAlias, seen),
      missingBundles: entry.federatesWith.filter((name) => graph.bundle(name) === undefined),
      related: isAlias ? [] : relatedEntries(entry, serving, seen),
    };
  }

  /** One that is banned or in quarantine is named too, for that is why nobody gets anything there. */
  #isListed(agentId: SpiffeId, entry: RegistrationEntry): boolean {
    const { graph } = this.#options;
    return this.#isWithheld(agentId) || graph.authorizedEntry(agentId, entry.id) !== undefined;
  }

  #isWithheld(agentId: SpiffeId): boolean {
    const node = this.#options.graph.node(agentId);
    return node === undefined || !mayHold(node);
  }

  async #agents(entry: RegistrationEntry, agentIds: readonly SpiffeId[]): Promise<readonly ExplainedAgent[]> {
    const { concerned, graph, receipts, store } = this.#options;
    const looked = agentIds.slice(0, MOST_LOOKED_AT);
    const way = new EntryWay(entry, graph);
    const held = await heldEntry(looked, { store, receipts, concerned, revision: graph.revision, way });
    return looked
      .map((agentId, index): ExplainedAgent => {
        if (this.#isWithheld(agentId)) return { agentId, state: 'withheld', since: undefined };
        return { agentId, ...(held[index] ?? { state: 'unknown', since: undefined }) };
      })
      .sort((a, b) => ORDER[a.state] - ORDER[b.state] || (a.agentId < b.agentId ? -1 : 1))
      .slice(0, MOST_AGENTS);
  }

  async #selectors(
    entry: RegistrationEntry,
    isAlias: boolean,
    seen: SeenRegistry,
  ): Promise<readonly ExplainedSelector[]> {
    const { store } = this.#options;
    const sightings = isAlias
      ? []
      : await store.selectorSightings.latest(entry.selectors.map(formatSelector));
    const bySelector = new Map(sightings.map((sighting) => [sighting.selector, sighting]));
    return entry.selectors.map((selector) => ({
      selector,
      nodes: isAlias ? seen.affectedAgents({ ...entry, selectors: [selector] }).length : 0,
      sighting: seen.sighting(bySelector.get(formatSelector(selector))),
    }));
  }
}
