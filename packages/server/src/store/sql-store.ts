/** The store over either database: serialises the writes of this server, numbers them, and has each told once it is committed. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Kysely, KyselyPlugin } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { currentSpan, inSpan } from '@bonafide/shared/telemetry/tracer';
import type { AuditEventRecords } from './audit-event-record.js';
import type { AuthorityReader } from './authority-record.js';
import type { BundleReader } from './bundle-record.js';
import type { Change } from './change.js';
import type { ChangeListener, ChangeListeners } from './change-listeners.js';
import type { DeliveryExchange } from './delivery-exchange.js';
import type { EntryReader } from './entry-record.js';
import type { FederationReader } from './federation-record.js';
import type { NodeAdmissionReader } from './node-admission-record.js';
import type { NodeProofReader, NodeReader } from './node-record.js';
import { inMeteredTurn, type WriteMeter } from './metered-turn.js';
import { RecordedChanges } from './recorded-changes.js';
import { ReplicaEntries, ReplicaNodes, type ReadReplica } from './postgres/read-replica.js';
import { AuditEventQueries } from './sql/audit-events.js';
import { AuthorityQueries, AuthorityStatements } from './sql/authorities.js';
import { BundleQueries, BundleStatements } from './sql/bundles.js';
import {
  appendRevision,
  currentRevision,
  logPosition,
  newNonce,
  pruneLog,
  readChangesSince,
  takeNextRevision,
} from './sql/change-log.js';
import { EntryQueries } from './sql/entries.js';
import { EntryStatements } from './sql/entry-statements.js';
import { FederationQueries, FederationStatements } from './sql/federation.js';
import { JoinTokenStatements } from './sql/join-tokens.js';
import { NodeAdmissionQueries, NodeAdmissionStatements } from './sql/node-admissions.js';
import { NodeProofQueries, NodeProofStatements } from './sql/node-proofs.js';
import { NodeQueries, NodeStatements } from './sql/nodes.js';
import type { Queries, Schema } from './sql/schema.js';
import { SelectorSightingQueries } from './sql/selector-sightings.js';
import { TpmEnrollmentQueries, TpmEnrollmentStatements } from './sql/tpm-enrollments.js';
import type { SelectorSightingRecords } from './selector-sighting-record.js';
import type { CommittedRevision, DatabaseConnection, LogPosition, Store, WriteTransaction } from './store.js';
import type { TpmEnrollmentReader } from './tpm-enrollment-record.js';

/** A commit of this server, and the nonce of the commit that it followed. */
export interface OwnCommit {
  readonly committed: CommittedRevision;
  readonly nonceBefore: string;
}

export interface SqlStoreParts {
  readonly logId: string;
  readonly serverId: string;
  readonly connection: DatabaseConnection;
  readonly writer: Kysely<Schema>;
  readonly reader: Kysely<Schema>;
  /** Where lists of entries and nodes are read when it can be reached. */
  readonly replica?: ReadReplica | undefined;
  readonly deliveries?: DeliveryExchange | undefined;
  readonly listeners: ChangeListeners;
  /** Last in the transaction: puts it into the log, and has others hear of it when it commits. @returns the nonce of the commit before. */
  readonly append?: (transaction: Queries, committed: CommittedRevision) => Promise<string>;
  /** Resolves once the subscribers have heard of it. */
  readonly announce: (own: OwnCommit) => Promise<void>;
  /** How many revisions the change log reaches back. */
  readonly keepRevisions?: number | undefined;
  /** A revision with more of them says only that anything may have changed. */
  readonly mostChanges?: number | undefined;
  /** Told of every write, and of how long it waited for its turn and took. */
  readonly meter?: WriteMeter | undefined;
  /** After the last write. */
  readonly close: () => Promise<void>;
}

const KEEP_REVISIONS = 100_000;
const RETRY_AFTER_MS = 1000;

export class SqlStore implements Store {
  readonly logId: string;
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
  readonly deliveries: DeliveryExchange | undefined;
  readonly #parts: SqlStoreParts;
  readonly #reader: Kysely<Schema>;
  /** Tells a call from inside a transaction's work, which would wait for itself. */
  readonly #inside = new AsyncLocalStorage<{ isOpen: boolean }>();
  /** Settles when every write so far has. */
  #tail: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: SqlStoreParts) {
    this.#parts = parts;
    this.logId = parts.logId;
    this.serverId = parts.serverId;
    this.connection = parts.connection;
    this.deliveries = parts.deliveries;
    const plugin = this.#outsideOnly();
    this.#reader = parts.reader.withPlugin(plugin);
    const replica = parts.replica?.withPlugin(plugin);
    this.entries =
      replica === undefined ? new EntryQueries(this.#reader) : new ReplicaEntries(this.#reader, replica);
    this.nodes =
      replica === undefined ? new NodeQueries(this.#reader) : new ReplicaNodes(this.#reader, replica);
    this.nodeProofs = new NodeProofQueries(this.#reader, parts.writer.withPlugin(plugin));
    this.nodeAdmissions = new NodeAdmissionQueries(this.#reader);
    this.bundles = new BundleQueries(this.#reader);
    this.authorities = new AuthorityQueries(this.#reader);
    this.federation = new FederationQueries(this.#reader);
    this.tpmEnrollments = new TpmEnrollmentQueries(this.#reader);
    // Written in line by a loop of its own, which whoever waits inside of a write may have started.
    this.auditEvents = new AuditEventQueries(parts.reader, parts.writer);
    this.selectorSightings = new SelectorSightingQueries(this.#reader, parts.writer.withPlugin(plugin));
  }

  position(): Promise<LogPosition> {
    return logPosition(this.#reader);
  }

  currentRevision(): Promise<number> {
    return currentRevision(this.#reader);
  }

  changesSince(revision: number, limit: number): Promise<readonly CommittedRevision[] | undefined> {
    return readChangesSince(this.#reader, revision, limit);
  }

  async write<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    this.#refuseInside();
    if (this.#isClosed) throw new BonafideError('unavailable', 'the store is closed');
    const result = inSpan('store.write', {}, () =>
      inMeteredTurn(this.#tail, () => this.#commit(work), this.#parts.meter),
    );
    this.#tail = result.then(
      () => undefined,
      () => undefined, // the caller of this write hears of it; the next write does not care
    );
    return result;
  }

  subscribe(listener: ChangeListener): () => void {
    return this.#parts.listeners.add(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tail;
    await this.#parts.close();
  }

  async #commit<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    this.#refuseWhileLost();
    const scope = { isOpen: true };
    try {
      const { result, own } = await this.#inside.run(scope, () => this.#transact(work));
      scope.isOpen = false;
      currentSpan()?.set({ 'bonafide.revision': own.committed.revision });
      await this.#parts.announce(own);
      return result;
    } finally {
      scope.isOpen = false;
    }
  }

  #transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<{ result: T; own: OwnCommit }> {
    return this.#parts.writer.transaction().execute(async (sql) => {
      const revision = await takeNextRevision(sql);
      const changes = new RecordedChanges(this.#parts.mostChanges);
      const record = (change: Change): void => {
        changes.add(change);
      };
      const result = await work({
        revision,
        entries: new EntryStatements(sql, record),
        nodes: new NodeStatements(sql, record),
        nodeProofs: new NodeProofStatements(sql, record),
        nodeAdmissions: new NodeAdmissionStatements(sql),
        bundles: new BundleStatements(sql, record),
        joinTokens: new JoinTokenStatements(sql),
        authorities: new AuthorityStatements(sql, record),
        federation: new FederationStatements(sql, record),
        tpmEnrollments: new TpmEnrollmentStatements(sql),
      });
      const committed = { revision, nonce: newNonce(), changes: changes.all };
      const { append = appendRevision, keepRevisions = KEEP_REVISIONS } = this.#parts;
      await pruneLog(sql, revision, keepRevisions);
      const nonceBefore = await append(sql, committed);
      return { result, own: { committed, nonceBefore } };
    });
  }

  /** Each write that waits in line would wait for an answer of its own. */
  #refuseWhileLost(): void {
    const { state } = this.connection;
    if (state.kind === 'connected') return;
    throw new BonafideError('unavailable', `nothing was changed: ${state.problem}`, {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  #refuseInside(): void {
    if (this.#inside.getStore()?.isOpen === true) {
      throw new BonafideError(
        'internal',
        'the store was used inside of a write; use the transaction that the write was given',
      );
    }
  }

  #outsideOnly(): KyselyPlugin {
    return {
      transformQuery: ({ node }) => {
        this.#refuseInside();
        return node;
      },
      transformResult: ({ result }) => Promise.resolve(result),
    };
  }
}
