/** Puts new state into the graph's indexes, and works out from each change outward which agents it concerns. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AttestedNode } from '../store/node-record.js';
import type { EntryIndex } from './entry-index.js';
import type { EntryReach, GraphChange } from './graph-change.js';
import type { NodeIndex } from './node-index.js';
import { agentsUnder } from './reach.js';

/** Present state by name; undefined for what is gone. */
export interface RegistryUpdate {
  readonly entries: Map<string, RegistrationEntry | undefined>;
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
    if (isLeafChange(entries, before, after) && !leaves.hangUnder(before, after)) {
      if (before !== undefined) leaves.add(before);
      put(entries, id, after);
      if (after !== undefined) leaves.add(after);
      continue;
    }
    // The paths themselves change: what was remembered about them is settled first.
    reaches.push(...leaves.reaches());
    leaves = new LeafReaches(entries, nodes);
    if (before !== undefined) reaches.push(reachOf(entries, nodes, before));
    put(entries, id, after);
    if (after !== undefined) reaches.push(reachOf(entries, nodes, after));
  }
  return [...reaches, ...leaves.reaches()];
}

function put(entries: EntryIndex, id: string, entry: RegistrationEntry | undefined): void {
  if (entry === undefined) entries.delete(id);
  else entries.put(entry);
}

/** Whether nobody's way to another entry leads through the change. */
function isLeafChange(
  entries: EntryIndex,
  before: RegistrationEntry | undefined,
  after: RegistrationEntry | undefined,
): boolean {
  const isPath = [before, after].some(
    (entry) => entry !== undefined && (entries.isAlias(entry) || entries.hasChildren(entry.spiffeId)),
  );
  return (
    !isPath ||
    (before !== undefined &&
      after !== undefined &&
      !entries.isAlias(after) &&
      before.spiffeId === after.spiffeId &&
      before.parentId === after.parentId &&
      before.expiresAt?.getTime() === after.expiresAt?.getTime())
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

  add(entry: RegistrationEntry): void {
    let reach = this.#byParent.get(entry.parentId);
    if (reach === undefined) {
      const agents = agentsUnder(this.#entries, this.#nodes, entry.parentId);
      reach = { agents, entryIds: new Set(), trustDomains: new Set() };
      this.#byParent.set(entry.parentId, reach);
    }
    reach.entryIds.add(entry.id);
    for (const trustDomain of entry.federatesWith) reach.trustDomains.add(trustDomain);
  }

  /** Whether agents were found through one of these: then what was remembered is no longer true. */
  hangUnder(...changed: readonly (RegistrationEntry | undefined)[]): boolean {
    return changed.some((entry) => entry !== undefined && this.#byParent.has(entry.spiffeId));
  }

  reaches(): readonly EntryReach[] {
    return [...this.#byParent.values()].map(({ agents, entryIds, trustDomains }) => ({
      agents,
      entryIds: [...entryIds],
      trustDomains: [...trustDomains],
    }));
  }
}

function reachOf(entries: EntryIndex, nodes: NodeIndex, entry: RegistrationEntry): EntryReach {
  const below = entries.descendantsOf(entry.spiffeId);
  return entries.isAlias(entry)
    ? reach(nodes.withAll(entry.selectors), below)
    : reach(agentsUnder(entries, nodes, entry.parentId), [entry, ...below]);
}

/** Whether nothing that the agent held before counts any more. */
export function isReset(before: AttestedNode | undefined, after: AttestedNode | undefined): boolean {
  return before === undefined || before.isBanned !== after?.isBanned;
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
  return differing.map((alias) => reach([agentId], entries.descendantsOf(alias.spiffeId)));
}

function hasSelectors(node: AttestedNode, selectors: ReadonlySet<string>): boolean {
  return (
    node.selectors.length === selectors.size &&
    node.selectors.every((selector) => selectors.has(formatSelector(selector)))
  );
}

function reach(agents: readonly SpiffeId[], entries: readonly RegistrationEntry[]): EntryReach {
  return {
    agents,
    entryIds: entries.map((entry) => entry.id),
    trustDomains: [...new Set(entries.flatMap((entry) => entry.federatesWith))],
  };
}
