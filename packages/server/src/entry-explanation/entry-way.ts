/** All that lies between an entry and the agents: the entries above it, at any height, and the IDs that they give. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { Change } from '../store/change.js';

const MOST_ENTRIES = 10_000;

export class EntryWay {
  readonly #entryIds: ReadonlySet<string>;
  readonly #names: ReadonlySet<SpiffeId>;

  constructor(entry: RegistrationEntry, graph: Pick<EntryGraph, 'entriesWithSpiffeId'>) {
    const entryIds = new Set([entry.id]);
    const names = new Set([entry.parentId]);
    for (const name of names) {
      if (entryIds.size > MOST_ENTRIES) break;
      for (const above of graph.entriesWithSpiffeId(name)) {
        entryIds.add(above.id);
        names.add(above.parentId);
      }
    }
    this.#entryIds = entryIds;
    this.#names = names;
  }

  /** Whether the change is one of the entry or of its way; also of an entry that gave one of the IDs and is gone. */
  isOn(change: Change): boolean {
    if (change.kind === 'everything') return true;
    if (change.kind !== 'entry') return false;
    const { entryId, spiffeIds = [] } = change;
    return this.#entryIds.has(entryId) || spiffeIds.some((each) => this.#names.has(each));
  }
}
