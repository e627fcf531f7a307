/** Node aliases in memory: entries under `/spire/server`, which give their SPIFFE ID to every node that has their selectors. */
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { GraphEntry } from './graph-entry.js';
import { MultiMap } from './multi-map.js';

interface IndexedAlias {
  readonly entry: GraphEntry;
  readonly selectors: readonly string[];
  /** The one selector under which it is filed. */
  readonly filedUnder: string;
}

export class AliasIndex {
  readonly #aliases = new Map<string, IndexedAlias>();
  readonly #bySelector = new MultiMap<string, IndexedAlias>();

  put(entry: GraphEntry): void {
    this.delete(entry.id);
    const selectors = entry.terms.selectors.map(formatSelector);
    // Under the least crowded one, so that a selector which all nodes have does not make every alias a candidate.
    let filedUnder: string | undefined;
    for (const selector of selectors) {
      if (
        filedUnder === undefined ||
        this.#bySelector.sizeOf(selector) < this.#bySelector.sizeOf(filedUnder)
      ) {
        filedUnder = selector;
      }
    }
    if (filedUnder === undefined) return; // no selectors: nobody's alias
    const alias = { entry, selectors, filedUnder };
    this.#aliases.set(entry.id, alias);
    this.#bySelector.add(filedUnder, alias);
  }

  delete(entryId: string): void {
    const alias = this.#aliases.get(entryId);
    if (alias === undefined) return;
    this.#bySelector.delete(alias.filedUnder, alias);
    this.#aliases.delete(entryId);
  }

  /** Whether a node with these selectors has the alias. */
  matches(entry: GraphEntry, nodeSelectors: ReadonlySet<string>): boolean {
    return this.#aliases.get(entry.id)?.selectors.every((selector) => nodeSelectors.has(selector)) ?? false;
  }

  /** The aliases of a node with these selectors. */
  of(nodeSelectors: ReadonlySet<string>): readonly GraphEntry[] {
    const found: GraphEntry[] = [];
    for (const selector of nodeSelectors) {
      for (const alias of this.#bySelector.get(selector)) {
        if (alias.selectors.every((wanted) => nodeSelectors.has(wanted))) found.push(alias.entry);
      }
    }
    return found;
  }
}
