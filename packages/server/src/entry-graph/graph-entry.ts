/**
 * An entry as the graph keeps it: names and terms are shared, and the lists it stands in run through the entries themselves, so that it
 * costs no set and leaves each of them in one step.
 */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { CompactEntry, EntryTerms } from '../store/entry-record.js';

/** One SPIFFE ID that entries have, or hang under: their crossing in the graph. */
export class GraphName {
  readonly id: SpiffeId;
  /** The entries that give this ID. */
  firstBearer: GraphEntry | undefined = undefined;
  bearerCount = 0;
  /** The entries whose parent ID this is, but for aliases: those are never delivered. */
  firstChild: GraphEntry | undefined = undefined;
  childCount = 0;

  constructor(id: SpiffeId) {
    this.id = id;
  }

  get isUnused(): boolean {
    return this.firstBearer === undefined && this.firstChild === undefined;
  }

  /** Do not add or remove while iterating. */
  *bearers(): Generator<GraphEntry, void, undefined> {
    for (let entry = this.firstBearer; entry !== undefined; entry = entry.nextBearer) yield entry;
  }

  *children(): Generator<GraphEntry, void, undefined> {
    for (let entry = this.firstChild; entry !== undefined; entry = entry.nextChild) yield entry;
  }
}

export class GraphEntry {
  readonly id: string;
  readonly name: GraphName;
  readonly parent: GraphName;
  readonly terms: EntryTerms;
  /** Milliseconds, as all times here: a Date is made for whoever asks. */
  readonly expiresAt: number | undefined;
  readonly createdAt: number;
  readonly revisionNumber: number;
  readonly isAlias: boolean;
  nextBearer: GraphEntry | undefined = undefined;
  previousBearer: GraphEntry | undefined = undefined;
  nextChild: GraphEntry | undefined = undefined;
  previousChild: GraphEntry | undefined = undefined;

  constructor(
    entry: CompactEntry,
    place: { readonly name: GraphName; readonly parent: GraphName; readonly isAlias: boolean },
  ) {
    this.id = entry.id;
    this.name = place.name;
    this.parent = place.parent;
    this.terms = entry.terms;
    this.expiresAt = entry.expiresAt;
    this.createdAt = entry.createdAt;
    this.revisionNumber = entry.revisionNumber;
    this.isAlias = place.isAlias;
  }

  /** False once it has ended by itself. */
  isLive(nowMs: number): boolean {
    return this.expiresAt === undefined || this.expiresAt > nowMs;
  }

  toRegistrationEntry(): RegistrationEntry {
    const { terms } = this;
    // Field by field: spreading the terms takes several times as long.
    return {
      id: this.id,
      spiffeId: this.name.id,
      parentId: this.parent.id,
      selectors: terms.selectors,
      x509SvidTtlSeconds: terms.x509SvidTtlSeconds,
      jwtSvidTtlSeconds: terms.jwtSvidTtlSeconds,
      federatesWith: terms.federatesWith,
      isAdmin: terms.isAdmin,
      isDownstream: terms.isDownstream,
      expiresAt: this.expiresAt === undefined ? undefined : new Date(this.expiresAt),
      dnsNames: terms.dnsNames,
      storesSvid: terms.storesSvid,
      hint: terms.hint,
      disablesX509SvidPrefetch: terms.disablesX509SvidPrefetch,
      includesJwtSvidJti: terms.includesJwtSvidJti,
      revisionNumber: this.revisionNumber,
      createdAt: new Date(this.createdAt),
    };
  }

  /** Into the lists of its names. */
  link(): void {
    const { name, parent } = this;
    this.nextBearer = name.firstBearer;
    if (name.firstBearer !== undefined) name.firstBearer.previousBearer = this;
    name.firstBearer = this;
    name.bearerCount += 1;
    if (this.isAlias) return;
    this.nextChild = parent.firstChild;
    if (parent.firstChild !== undefined) parent.firstChild.previousChild = this;
    parent.firstChild = this;
    parent.childCount += 1;
  }

  unlink(): void {
    const { name, parent, nextBearer, previousBearer, nextChild, previousChild } = this;
    if (previousBearer === undefined) name.firstBearer = nextBearer;
    else previousBearer.nextBearer = nextBearer;
    if (nextBearer !== undefined) nextBearer.previousBearer = previousBearer;
    name.bearerCount -= 1;
    this.nextBearer = this.previousBearer = undefined;
    if (this.isAlias) return;
    if (previousChild === undefined) parent.firstChild = nextChild;
    else previousChild.nextChild = nextChild;
    if (nextChild !== undefined) nextChild.previousChild = previousChild;
    parent.childCount -= 1;
    this.nextChild = this.previousChild = undefined;
  }
}
