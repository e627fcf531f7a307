/** Attested nodes in memory: by ID, and by selector, so that a node alias finds its nodes without walking all of them. */
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AttestedNode } from '../store/node-record.js';

const NO_SELECTORS: ReadonlySet<string> = new Set();

/** One selector, shared by the nodes that have it. */
interface HeldSelector {
  readonly selector: Selector;
  readonly holders: Set<SpiffeId>;
}

export class NodeIndex {
  readonly #nodes = new Map<SpiffeId, AttestedNode>();
  readonly #quarantined = new Set<SpiffeId>();
  readonly #held = new Map<string, HeldSelector>();

  get(agentId: SpiffeId): AttestedNode | undefined {
    return this.#nodes.get(agentId);
  }

  ids(): Iterable<SpiffeId> {
    return this.#nodes.keys();
  }

  has(agentId: SpiffeId): boolean {
    return this.#nodes.has(agentId);
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Formatted; empty for an unknown node. */
  selectorsOf(agentId: SpiffeId): ReadonlySet<string> {
    const node = this.#nodes.get(agentId);
    return node === undefined ? NO_SELECTORS : new Set(node.selectors.map(formatSelector));
  }

  put(node: AttestedNode): void {
    this.delete(node.agentId);
    const selectors = node.selectors.map((selector) => this.#hold(selector, node.agentId));
    this.#nodes.set(node.agentId, { ...node, selectors });
    if (node.quarantine !== undefined) this.#quarantined.add(node.agentId);
  }

  delete(agentId: SpiffeId): void {
    for (const selector of this.selectorsOf(agentId)) {
      const held = this.#held.get(selector);
      held?.holders.delete(agentId);
      if (held?.holders.size === 0) this.#held.delete(selector);
    }
    this.#nodes.delete(agentId);
    this.#quarantined.delete(agentId);
  }

  inQuarantine(): readonly AttestedNode[] {
    return [...this.#quarantined].sort().flatMap((agentId) => this.#nodes.get(agentId) ?? []);
  }

  /** The nodes that have all of the selectors; none for an empty list. Looks only at nodes with the rarest of them. */
  withAll(selectors: readonly Selector[]): readonly SpiffeId[] {
    const holders: ReadonlySet<SpiffeId>[] = [];
    for (const selector of selectors) {
      const held = this.#held.get(formatSelector(selector));
      if (held === undefined) return [];
      holders.push(held.holders);
    }
    const [rarest, ...others] = holders.sort((a, b) => a.size - b.size);
    if (rarest === undefined) return [];
    return [...rarest].filter((agentId) => others.every((each) => each.has(agentId)));
  }

  #hold(selector: Selector, agentId: SpiffeId): Selector {
    const text = formatSelector(selector);
    let held = this.#held.get(text);
    if (held === undefined) {
      held = { selector, holders: new Set() };
      this.#held.set(text, held);
    }
    held.holders.add(agentId);
    return held.selector;
  }
}
