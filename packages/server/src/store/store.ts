/** The store's face to the rooms: small readers, and writers that exist only inside a revision-taking transaction. */
import type { Change } from './change.js';
import type { AuthorityReader, AuthorityWriter } from './authority-record.js';
import type { BundleReader, BundleWriter } from './bundle-record.js';
import type { FederationReader, FederationWriter } from './federation-record.js';
import type { EntryReader, EntryWriter } from './entry-record.js';
import type { JoinTokenWriter } from './join-token-record.js';
import type { NodeReader, NodeWriter } from './node-record.js';

export interface Store {
  /** Names this database for ever; a watch cursor is worth nothing against another one. */
  readonly logId: string;
  readonly entries: EntryReader;
  readonly nodes: NodeReader;
  readonly bundles: BundleReader;
  readonly authorities: AuthorityReader;
  readonly federation: FederationReader;
  /** The revision of the last committed transaction; 0 in a new database. */
  currentRevision(): Promise<number>;
  /** Committed changes after `revision`, oldest first, at most `limit` revisions; undefined when the log no longer reaches back that far. */
  changesSince(revision: number, limit: number): Promise<readonly CommittedRevision[] | undefined>;
  /**
   * Runs `work` in one transaction that first takes the next revision, so that revision order is commit order. Whatever `work` throws
   * rolls everything back. Subscribers hear of it in revision order, after the commit and before this resolves; they must not write.
   * The outer store refuses to be used inside `work`.
   */
  write<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T>;
  subscribe(listener: (committed: CommittedRevision) => void | Promise<void>): () => void;
  close(): Promise<void>;
}

export interface WriteTransaction {
  readonly revision: number;
  readonly entries: EntryReader & EntryWriter;
  readonly nodes: NodeReader & NodeWriter;
  readonly bundles: BundleReader & BundleWriter;
  readonly joinTokens: JoinTokenWriter;
  readonly authorities: AuthorityReader & AuthorityWriter;
  readonly federation: FederationReader & FederationWriter;
}

export interface CommittedRevision {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** One page of a list; `nextPageToken` is opaque and undefined on the last page. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string | undefined;
}

export interface PageRequest {
  readonly size: number;
  /** Undefined for the first page. */
  readonly token: string | undefined;
}
