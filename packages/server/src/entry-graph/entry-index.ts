/** Registration entries in memory: by id, by SPIFFE ID, as children of their parent ID, and by the trust domains they name. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CompactEntry } from '../store/entry-record.js';
import { AliasIndex } from './alias-index.js';
import { ExpiryQueue } from './expiry-queue.js';
import { GraphEntry, GraphName } from './graph-entry.js';
import { IdTable } from './id-table.js';
import { MultiMap } from './multi-map.js';

export class EntryIndex {
  readonly aliases = new AliasIndex();
  readonly #serverId: SpiffeId;
  readonly #entries = new IdTable<GraphEntry>();
  readonly #names = new IdTable<GraphName>();
  readonly #expiring = new ExpiryQueue();
  readonly #byTrustDomain = new MultiMap<TrustDomain, GraphEntry>();

  constructor(serverId: SpiffeId) {
    this.#serverId = serverId;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): GraphEntry | undefined {
    return this.#entries.get(id);
  }

  /** See `IdTable.stretch`. */
  stretch(from: number, places: number): ReturnType<IdTable<GraphEntry>['stretch']> {
    return this.#entries.stretch(from, places);
  }

  isAlias(entry: Pick<RegistrationEntry, 'parentId'>): boolean {
    return entry.parentId === this.#serverId;
  }

  withSpiffeId(spiffeId: SpiffeId): Iterable<GraphEntry> {
    return this.#names.get(spiffeId)?.bearers() ?? [];
  }

  childrenOf(parentId: SpiffeId): Iterable<GraphEntry> {
    return this.#names.get(parentId)?.children() ?? [];
  }

  /** Undefined when no entry has the ID and none hangs under it. */
  name(id: SpiffeId): GraphName | undefined {
    return this.#names.get(id);
  }

  /** Of the IDs that entries have or hang under those in a stretch; see `IdTable.stretch`. */
  namesAt(from: number, places: number): ReturnType<IdTable<GraphName>['stretch']> {
    return this.#names.stretch(from, places);
  }

  federatingWith(trustDomain: TrustDomain): Iterable<GraphEntry> {
    return this.#byTrustDomain.get(trustDomain);
  }

  hasChildren(parentId: SpiffeId): boolean {
    return this.#names.get(parentId)?.firstChild !== undefined;
  }

  /** All that hang under the ID, at any depth, expired or not; a cycle is walked once. */
  descendantsOf(parentId: SpiffeId): readonly GraphEntry[] {
    const found: GraphEntry[] = [];
    const top = this.#names.get(parentId);
    const seen = new Set(top === undefined ? [] : [top]);
    for (const parent of seen) {
      for (let child = parent.firstChild; child !== undefined; child = child.nextChild) {
        found.push(child);
        if (child.name.firstChild !== undefined) seen.add(child.name);
      }
    }
    return found;
  }

  put(given: CompactEntry): GraphEntry {
    this.delete(given.id);
    const parent = this.#nameFor(given.parentId);
    const name = this.#nameFor(given.spiffeId);
    const entry = new GraphEntry(given, { name, parent, isAlias: given.parentId === this.#serverId });
    this.#entries.put(entry);
    entry.link();
    this.#expiring.add(entry);
    for (const trustDomain of entry.terms.federatesWith) this.#byTrustDomain.add(trustDomain, entry);
    if (entry.isAlias) this.aliases.put(entry);
    return entry;
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    entry.unlink();
    this.#expiring.delete(entry);
    for (const trustDomain of entry.terms.federatesWith) this.#byTrustDomain.delete(trustDomain, entry);
    if (entry.isAlias) this.aliases.delete(id);
    for (const name of [entry.name, entry.parent]) if (name.isUnused) this.#names.delete(name.id);
  }

  /** When the next entry ends by itself, or the last one did that is still here; undefined when none ever will. */
  earliestExpiry(): Date | undefined {
    const earliest = this.#expiring.earliest();
    return earliest === undefined ? undefined : new Date(earliest);
  }

  #nameFor(id: SpiffeId): GraphName {
    let name = this.#names.get(id);
    if (name === undefined) {
      name = new GraphName(id);
      this.#names.put(name);
    }
    return name;
  }
}
