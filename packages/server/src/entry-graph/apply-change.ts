/** Puts new state into the graph's indexes, and works out from each change outward which agents it concerns. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CompactEntry } from '../store/entry-record.js';
import type { AttestedNode } from '../store/node-record.js';
import type { EntryIndex } from './entry-index.js';
import type { EntryReach, GraphChange } from './graph-change.js';
import type { GraphEntry } from './graph-entry.js';
import type { NodeIndex } from './node-index.js';
import { agentsUnder } from './reach.js';

/** Present state by name; undefined for what is gone. */
export interface RegistryUpdate {
  readonly entries: Map<string, CompactEntry | undefined>;
  readonly nodes: Map<SpiffeId, AttestedNode | undefined>;
  readonly bundles: Map<TrustDomain, TrustBundle | undefined>;
}

export function applyChange(
  entries: EntryIndex,
  nodes: NodeIndex,
  bundles: Map<TrustDomain, TrustBundle>,
  update: RegistryUpdate,
): Omit<GraphChange, 'revision' | 'commits' | 'isReload'> {
  const reaches = [...applyEntries(entries, nodes, update.entries)];
  const resets: SpiffeId[] = [];
  for (const [agentId, node] of update.nodes) {
    if (isReset(nodes.get(agentId), node)) resets.push(agentId);
    reaches.push(...applyNode(entries, nodes, agentId, node));
  }
  for (const [trustDomain, bundle] of update.bundles) {
    if (bundle === undefined) bundles.delete(trustDomain);
    else bundles.set(trustDomain, bundle);
  }
  return {
    reaches: reaches.filter((reach) => reach.agents.length > 0 && reach.entryIds.length > 0),
    nodes: [...update.nodes.keys()],
    resets,
    bundles: [...update.bundles.keys()],
  };
}

/**
 * One step at a time, each with its reach before and after: what an agent ends up gaining or losing, it gained or lost in some step.
 */
function applyEntries(
  entries: EntryIndex,
  nodes: NodeIndex,
  update: RegistryUpdate['entries'],
): readonly EntryReach[] {
  const reaches: EntryReach[] = [];
  let leaves = new LeafReaches(entries, nodes);
  for (const [id, after] of update) {
    const before = entries.get(id);
    if (before?.isAlias === true && after !== undefined && isSameWay(before, after)) {
      // An alias is never delivered: without a change of whom it leads where, nobody notices.
      entries.put(after);
      continue;
    }
    if (isLeafChange(entries, before, after) && !leaves.hangUnder(before?.name.id, after?.spiffeId)) {
      if (before !== undefined) leaves.add(before);
      const entry = put(entries, id, after);
      if (entry !== undefined) leaves.add(entry);
      continue;
    }
    // The paths themselves change: what was remembered about them is settled first.
    reaches.push(...leaves.reaches());
    leaves = new LeafReaches(entries, nodes);
    if (before !== undefined) reaches.push(reachOf(entries, nodes, before));
    const entry = put(entries, id, after);
    if (entry !== undefined) reaches.push(reachOf(entries, nodes, entry));
  }
  return [...reaches, ...leaves.reaches()];
}

function put(entries: EntryIndex, id: string, entry: CompactEntry | undefined): GraphEntry | undefined {
  if (entry !== undefined) return entries.put(entry);
  entries.delete(id);
  return undefined;
}

/** Whether nobody's way to another entry leads through the change. */
function isLeafChange(
  entries: EntryIndex,
  before: GraphEntry | undefined,
  after: CompactEntry | undefined,
): boolean {
  if (before !== undefined && after !== undefined && !before.isAlias && isSameWay(before, after)) return true;
  if (before !== undefined && (before.isAlias || before.name.firstChild !== undefined)) return false;
  return after === undefined || (!entries.isAlias(after) && !entries.hasChildren(after.spiffeId));
}

/** Whether the change leaves alone who reaches what through the entry. */
function isSameWay(before: GraphEntry, after: CompactEntry): boolean {
  return (
    before.name.id === after.spiffeId &&
    before.parent.id === after.parentId &&
    before.expiresAt === after.expiresAt &&
    (!before.isAlias || hasSelectors(after.terms, new Set(before.terms.selectors.map(formatSelector))))
  );
}

/** Leaf changes under one parent share their agents, which are found once. */
class LeafReaches {
  readonly #entries: EntryIndex;
  readonly #nodes: NodeIndex;
  readonly #byParent = new Map<
    SpiffeId,
    { agents: readonly SpiffeId[]; entryIds: Set<string>; trustDomains: Set<TrustDomain> }
  >();

  constructor(entries: EntryIndex, nodes: NodeIndex) {
    this.#entries = entries;
    this.#nodes = nodes;
  }

  add(entry: GraphEntry): void {
    const parentId = entry.parent.id;
    let reach = this.#byParent.get(parentId);
    if (reach === undefined) {
      const agents = agentsUnder(this.#entries, this.#nodes, [parentId]);
      reach = { agents, entryIds: new Set(), trustDomains: new Set() };
      this.#byParent.set(parentId, reach);
    }
    reach.entryIds.add(entry.id);
    for (const trustDomain of entry.terms.federatesWith) reach.trustDomains.add(trustDomain);
  }

  /** Whether agents were found through one of these IDs: then what was remembered is no longer true. */
  hangUnder(...ids: readonly (SpiffeId | undefined)[]): boolean {
    return ids.some((id) => id !== undefined && this.#byParent.has(id));
  }

  reaches(): readonly EntryReach[] {
    return [...this.#byParent.values()].map(({ agents, entryIds, trustDomains }) => ({
      agents,
      entryIds: [...entryIds],
      trustDomains: [...trustDomains],
    }));
  }
}

function reachOf(entries: EntryIndex, nodes: NodeIndex, entry: GraphEntry): EntryReach {
  const below = entries.descendantsOf(entry.name.id);
  return entry.isAlias
    ? reach(nodes.withAll(entry.terms.selectors), below)
    : reach(agentsUnder(entries, nodes, [entry.parent.id]), [entry, ...below]);
}

/** Whether the node may hold anything at all. */
export function mayHold({ isBanned, quarantine }: Pick<AttestedNode, 'isBanned' | 'quarantine'>): boolean {
  return !isBanned && quarantine === undefined;
}

/** Whether nothing that the agent held before counts any more. */
export function isReset(before: AttestedNode | undefined, after: AttestedNode | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  const isQuarantined = (node: AttestedNode): boolean => node.quarantine !== undefined;
  return before.isBanned !== after.isBanned || isQuarantined(before) !== isQuarantined(after);
}

/** A known node whose selectors change gains and loses aliases. */
function applyNode(
  entries: EntryIndex,
  nodes: NodeIndex,
  agentId: SpiffeId,
  after: AttestedNode | undefined,
): readonly EntryReach[] {
  const isNew = !nodes.has(agentId);
  const before = nodes.selectorsOf(agentId);
  if (after === undefined) nodes.delete(agentId);
  else nodes.put(after);
  if (isNew || after === undefined || hasSelectors(after, before)) return [];
  const aliasesBefore = entries.aliases.of(before);
  const aliasesAfter = entries.aliases.of(nodes.selectorsOf(agentId));
  const differing = [
    ...aliasesBefore.filter((alias) => !aliasesAfter.includes(alias)),
    ...aliasesAfter.filter((alias) => !aliasesBefore.includes(alias)),
  ];
  return differing.map((alias) => reach([agentId], entries.descendantsOf(alias.name.id)));
}

function hasSelectors(node: Pick<AttestedNode, 'selectors'>, selectors: ReadonlySet<string>): boolean {
  return (
    node.selectors.length === selectors.size &&
    node.selectors.every((selector) => selectors.has(formatSelector(selector)))
  );
}

function reach(agents: readonly SpiffeId[], entries: readonly GraphEntry[]): EntryReach {
  return {
    agents,
    entryIds: entries.map((entry) => entry.id),
    trustDomains: [...new Set(entries.flatMap((entry) => entry.terms.federatesWith))],
  };
}
