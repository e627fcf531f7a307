/** Registration entries as the store keeps them. */
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { MatchBehavior, Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Page, PageRequest } from './store.js';

/** Every condition that is present must hold. */
export interface EntryFilter {
  readonly spiffeId?: SpiffeId | undefined;
  readonly parentId?: SpiffeId | undefined;
  readonly selectors?: { readonly named: readonly Selector[]; readonly match: MatchBehavior } | undefined;
  readonly federatesWith?:
    { readonly named: readonly TrustDomain[]; readonly match: MatchBehavior } | undefined;
  readonly hint?: string | undefined;
  readonly isDownstream?: boolean | undefined;
  readonly isAdmin?: boolean | undefined;
  /** Only SPIFFE IDs that begin with one of these, each of which ends in a slash; none of them is no entry at all. */
  readonly under?: readonly string[] | undefined;
}

/** What an entry grants and to whom, without its names and times: a million entries have a few thousand different terms. */
export type EntryTerms = Omit<RegistrationEntryContent, 'spiffeId' | 'parentId' | 'expiresAt'>;

/** An entry in a form of which a million cost little: entries with equal terms mostly share them, and times are milliseconds. */
export interface CompactEntry {
  readonly id: string;
  readonly spiffeId: SpiffeId;
  readonly parentId: SpiffeId;
  readonly terms: EntryTerms;
  readonly expiresAt: number | undefined;
  readonly createdAt: number;
  readonly revisionNumber: number;
}

export interface EntryReader {
  get(id: string): Promise<RegistrationEntry | undefined>;
  /** In an order of its own that the filter decides, mostly by id, so that a page token stays good while others write. */
  list(filter: EntryFilter, page: PageRequest): Promise<Page<RegistrationEntry>>;
  count(filter: EntryFilter): Promise<number>;
  /** Every entry, in batches, for loading the entry graph. */
  all(): AsyncIterable<readonly CompactEntry[]>;
  /** Those that exist, in no particular order, for keeping the entry graph current. */
  getMany(ids: readonly string[]): Promise<readonly CompactEntry[]>;
  /** An entry with the same SPIFFE ID, parent ID and selector set: what SPIRE calls a similar entry. */
  findSimilar(content: RegistrationEntryContent): Promise<RegistrationEntry | undefined>;
  /** Entries whose `expiresAt` is at or before `now`. */
  listExpired(now: Date): Promise<readonly RegistrationEntry[]>;
}

export interface NewEntryRecord {
  readonly content: RegistrationEntryContent;
  /** Undefined: a new UUID. */
  readonly id: string | undefined;
  readonly createdAt: Date;
  /** Of an entry that had a life elsewhere; 0 when absent. */
  readonly revisionNumber?: number;
}

export interface EntryContentChange {
  readonly id: string;
  readonly content: RegistrationEntryContent;
  /** The next one is this at least. */
  readonly revisionNumber?: number;
}

export interface EntryWriter {
  /** @param id undefined: a new UUID. @throws BonafideError `already_exists` for an id that is taken. */
  create(
    content: RegistrationEntryContent,
    options: { readonly id: string | undefined; readonly createdAt: Date },
  ): Promise<RegistrationEntry>;
  /** Replaces the content, `revisionNumber` + 1. @throws BonafideError `not_found`. */
  update(id: string, content: RegistrationEntryContent): Promise<RegistrationEntry>;
  /** @returns what was deleted. @throws BonafideError `not_found`. */
  delete(id: string): Promise<RegistrationEntry>;
  /** Many at once, in few statements, each as the method for one does. After a failure the transaction has to be given up: some may be written. */
  createMany(entries: readonly NewEntryRecord[]): Promise<readonly RegistrationEntry[]>;
  /** @throws BonafideError `not_found`, also when an entry is there twice. */
  updateMany(changes: readonly EntryContentChange[]): Promise<readonly RegistrationEntry[]>;
  /** @throws BonafideError `not_found`, also when an ID is there twice. */
  deleteMany(ids: readonly string[]): Promise<readonly RegistrationEntry[]>;
}
