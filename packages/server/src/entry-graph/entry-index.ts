/** Registration entries in memory: by id, by SPIFFE ID, and as children of their parent ID. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { AliasIndex } from './alias-index.js';
import { MultiMap } from './multi-map.js';

export class EntryIndex {
  readonly aliases = new AliasIndex();
  readonly #serverId: SpiffeId;
  readonly #entries = new Map<string, RegistrationEntry>();
  readonly #bySpiffeId = new MultiMap<SpiffeId, RegistrationEntry>();
  /** Without the aliases: those are never delivered. */
  readonly #byParentId = new MultiMap<SpiffeId, RegistrationEntry>();
  /** Parents repeat in most entries; one text serves them all. */
  readonly #parentIds = new Map<string, SpiffeId>();
  readonly #expiring = new Map<string, number>();
  /** Undefined: not known. */
  #earliestExpiry: number | undefined;

  constructor(serverId: SpiffeId) {
    this.#serverId = serverId;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): RegistrationEntry | undefined {
    return this.#entries.get(id);
  }

  isAlias(entry: RegistrationEntry): boolean {
    return entry.parentId === this.#serverId;
  }

  withSpiffeId(spiffeId: SpiffeId): Iterable<RegistrationEntry> {
    return this.#bySpiffeId.get(spiffeId);
  }

  childrenOf(parentId: SpiffeId): Iterable<RegistrationEntry> {
    return this.#byParentId.get(parentId);
  }

  /** Looks through the smaller of the two sets: a join token's alias hangs under each of a thousand agents, and one agent may have as many children. */
  childrenWithSpiffeId(parentId: SpiffeId, spiffeId: SpiffeId): readonly RegistrationEntry[] {
    const isFromParent = this.#byParentId.sizeOf(parentId) < this.#bySpiffeId.sizeOf(spiffeId);
    const candidates = isFromParent ? this.childrenOf(parentId) : this.withSpiffeId(spiffeId);
    return [...candidates].filter((entry) => entry.parentId === parentId && entry.spiffeId === spiffeId);
  }

  hasChildren(parentId: SpiffeId): boolean {
    return this.#byParentId.has(parentId);
  }

  /** All that hang under the ID, at any depth, expired or not; a cycle is walked once. */
  descendantsOf(parentId: SpiffeId): readonly RegistrationEntry[] {
    const found: RegistrationEntry[] = [];
    const seen = new Set([parentId]);
    for (const parent of seen) {
      for (const child of this.childrenOf(parent)) {
        found.push(child);
        seen.add(child.spiffeId);
      }
    }
    return found;
  }

  put(given: RegistrationEntry): void {
    this.delete(given.id);
    const entry = this.#shareParentId(given);
    this.#entries.set(entry.id, entry);
    this.#bySpiffeId.add(entry.spiffeId, entry);
    if (entry.expiresAt !== undefined) this.#addExpiry(entry.id, entry.expiresAt.getTime());
    if (this.isAlias(entry)) this.aliases.put(entry);
    else this.#byParentId.add(entry.parentId, entry);
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#bySpiffeId.delete(entry.spiffeId, entry);
    if (entry.expiresAt?.getTime() === this.#earliestExpiry) this.#earliestExpiry = undefined;
    this.#expiring.delete(id);
    if (this.isAlias(entry)) this.aliases.delete(id);
    else {
      this.#byParentId.delete(entry.parentId, entry);
      if (!this.#byParentId.has(entry.parentId)) this.#parentIds.delete(entry.parentId);
    }
  }

  /** When the next entry ends by itself, or the last one did that is still here; undefined when none ever will. */
  earliestExpiry(): Date | undefined {
    if (this.#expiring.size === 0) return undefined;
    if (this.#earliestExpiry === undefined) {
      let earliest = Infinity;
      for (const expiresAt of this.#expiring.values()) earliest = Math.min(earliest, expiresAt);
      this.#earliestExpiry = earliest;
    }
    return new Date(this.#earliestExpiry);
  }

  #addExpiry(id: string, expiresAt: number): void {
    if (this.#expiring.size === 0) this.#earliestExpiry = expiresAt;
    else if (this.#earliestExpiry !== undefined) {
      this.#earliestExpiry = Math.min(this.#earliestExpiry, expiresAt);
    }
    this.#expiring.set(id, expiresAt);
  }

  #shareParentId(entry: RegistrationEntry): RegistrationEntry {
    const known = this.#parentIds.get(entry.parentId);
    if (known !== undefined) return { ...entry, parentId: known };
    this.#parentIds.set(entry.parentId, entry.parentId);
    return entry;
  }
}
