/** The store's face to the rooms: small readers, and writers that exist only inside a revision-taking transaction. */
import type { Change } from './change.js';
import type { AuditEventRecords } from './audit-event-record.js';
import type { AuthorityReader, AuthorityWriter } from './authority-record.js';
import type { BundleReader, BundleWriter } from './bundle-record.js';
import type { DeliveryExchange } from './delivery-exchange.js';
import type { FederationReader, FederationWriter } from './federation-record.js';
import type { EntryReader, EntryWriter } from './entry-record.js';
import type { JoinTokenWriter } from './join-token-record.js';
import type { NodeAdmissionReader, NodeAdmissionWriter } from './node-admission-record.js';
import type { NodeProofReader, NodeProofWriter, NodeReader, NodeWriter } from './node-record.js';
import type { SelectorSightingRecords } from './selector-sighting-record.js';
import type { TpmEnrollmentReader, TpmEnrollmentWriter } from './tpm-enrollment-record.js';

export interface Store {
  /** Names this database for ever; a watch cursor is worth nothing against another one. */
  readonly logId: string;
  /** Names this server among those on the database, over restarts; only itself moves its authorities. */
  readonly serverId: string;
  readonly connection: DatabaseConnection;
  readonly entries: EntryReader;
  readonly nodes: NodeReader;
  readonly nodeProofs: NodeProofReader;
  readonly nodeAdmissions: NodeAdmissionReader;
  readonly bundles: BundleReader;
  readonly authorities: AuthorityReader;
  readonly federation: FederationReader;
  readonly tpmEnrollments: TpmEnrollmentReader;
  readonly selectorSightings: SelectorSightingRecords;
  readonly auditEvents: AuditEventRecords;
  /** Undefined where a database has one server. */
  readonly deliveries: DeliveryExchange | undefined;
  /** The last committed transaction; revision 0 with an empty nonce in a new database. */
  position(): Promise<LogPosition>;
  /** The revision of the last committed transaction; 0 in a new database. */
  currentRevision(): Promise<number>;
  /** Committed changes after `revision`, oldest first, at most `limit` revisions; undefined when the log no longer reaches back that far. */
  changesSince(revision: number, limit: number): Promise<readonly CommittedRevision[] | undefined>;
  /**
   * Runs `work` in one transaction that first takes the next revision, so that revision order is commit order. Whatever `work` throws
   * rolls everything back. Subscribers hear of it in revision order, after the commit and before this resolves; they must not write.
   * What other servers commit to the same database they hear of in its place in that order. `unavailable` may mean that the connection was
   * lost while it was being committed: then it may stand.
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
  readonly nodeProofs: NodeProofWriter;
  readonly nodeAdmissions: NodeAdmissionReader & NodeAdmissionWriter;
  readonly bundles: BundleReader & BundleWriter;
  readonly joinTokens: JoinTokenWriter;
  readonly authorities: AuthorityReader & AuthorityWriter;
  readonly federation: FederationReader & FederationWriter;
  readonly tpmEnrollments: TpmEnrollmentReader & TpmEnrollmentWriter;
}

/** A commit by name: databases that were copied, restored or failed over may count the same revisions and mean other commits. */
export interface LogPosition {
  readonly revision: number;
  /** Random, of the commit; empty for one by an earlier release. */
  readonly nonce: string;
}

export interface CommittedRevision extends LogPosition {
  readonly changes: readonly Change[];
}

/** Whether the database can be reached: a server without it serves on what it holds in memory. */
export interface DatabaseConnection {
  readonly state: DatabaseState;
  /** Hears of each change of the state. */
  subscribe(listener: (state: DatabaseState) => void): () => void;
}

export type DatabaseState =
  | { readonly kind: 'connected' }
  /** @param problem in words, without secrets. */
  | { readonly kind: 'lost'; readonly since: Date; readonly problem: string };

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
