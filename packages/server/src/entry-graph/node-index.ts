/** Attested nodes in memory: by ID, and by selector, so that a node alias finds its nodes without walking all of them. */
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AttestedNode } from '../store/node-record.js';
import { MultiMap } from './multi-map.js';

interface IndexedNode {
  readonly node: AttestedNode;
  readonly selectors: ReadonlySet<string>;
}

const NO_SELECTORS: ReadonlySet<string> = new Set();

export class NodeIndex {
  readonly #nodes = new Map<SpiffeId, IndexedNode>();
  readonly #bySelector = new MultiMap<string, SpiffeId>();

  get(agentId: SpiffeId): AttestedNode | undefined {
    return this.#nodes.get(agentId)?.node;
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
    return this.#nodes.get(agentId)?.selectors ?? NO_SELECTORS;
  }

  put(node: AttestedNode): void {
    this.delete(node.agentId);
    const selectors = new Set(node.selectors.map(formatSelector));
    this.#nodes.set(node.agentId, { node, selectors });
    for (const selector of selectors) this.#bySelector.add(selector, node.agentId);
  }

  delete(agentId: SpiffeId): void {
    for (const selector of this.selectorsOf(agentId)) this.#bySelector.delete(selector, agentId);
    this.#nodes.delete(agentId);
  }

  /** The nodes that have all of the selectors; none for an empty list. Looks only at nodes with the rarest of them. */
  withAll(selectors: readonly Selector[]): readonly SpiffeId[] {
    const wanted = selectors.map(formatSelector);
    let rarest: string | undefined;
    for (const selector of wanted) {
      if (rarest === undefined || this.#bySelector.sizeOf(selector) < this.#bySelector.sizeOf(rarest)) {
        rarest = selector;
      }
    }
    if (rarest === undefined) return [];
    return [...this.#bySelector.get(rarest)].filter((agentId) => {
      const held = this.selectorsOf(agentId);
      return wanted.every((selector) => held.has(selector));
    });
  }
}
