/** Opens the store: migrates it, serialises its writes, numbers them, and tells of each once it is committed. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Kysely, KyselyPlugin } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Change } from './change.js';
import { lockDatabase, type DatabaseLock } from './database-lock.js';
import { AuthorityQueries, AuthorityStatements } from './sql/authorities.js';
import { BundleQueries, BundleStatements } from './sql/bundles.js';
import {
  appendRevision,
  currentRevision,
  logPosition,
  newNonce,
  openLog,
  readChangesSince,
  takeNextRevision,
} from './sql/change-log.js';
import { EntryQueries, EntryStatements } from './sql/entries.js';
import { FederationQueries, FederationStatements } from './sql/federation.js';
import { JoinTokenStatements } from './sql/join-tokens.js';
import { migrate } from './sql/migrate.js';
import { NodeQueries, NodeStatements } from './sql/nodes.js';
import type { Schema } from './sql/schema.js';
import { connectSqlite, createDatabaseFile, IN_MEMORY } from './sqlite-database.js';
import type { CommittedRevision, DatabaseConnection, LogPosition, Store, WriteTransaction } from './store.js';

export interface StoreOptions {
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly log: Logger;
  /** How many revisions the change log reaches back. */
  readonly keepRevisions?: number;
}

const KEEP_REVISIONS = 100_000;

/** @throws BonafideError `failed_precondition` for a file of a newer release or one that another server uses, `unavailable` when it cannot be opened or written. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const isFile = options.path !== IN_MEMORY;
  if (isFile) await createDatabaseFile(options.path);
  const lock = isFile ? await lockDatabase(options.path) : undefined;
  let writer;
  try {
    writer = connectSqlite(options.path, 'write');
    await migrate(writer);
    const logId = await openLog(writer);
    const reader = isFile ? connectSqlite(options.path, 'read') : writer;
    return new SqlStore({ ...options, writer, reader, logId, lock });
  } catch (error) {
    await writer?.destroy();
    lock?.release();
    throw error;
  }
}

interface SqlStoreParts extends StoreOptions {
  readonly writer: Kysely<Schema>;
  readonly reader: Kysely<Schema>;
  readonly logId: string;
  readonly lock: DatabaseLock | undefined;
}

/** A file is there or it is not: whoever cannot use it hears of it at once. */
const ALWAYS_CONNECTED: DatabaseConnection = {
  state: { kind: 'connected' },
  subscribe: () => () => undefined,
};

type Listener = (committed: CommittedRevision) => void | Promise<void>;

class SqlStore implements Store {
  readonly logId: string;
  /** A database file has one server for ever. */
  readonly serverId = '';
  readonly connection = ALWAYS_CONNECTED;
  readonly deliveries = undefined;
  readonly entries: EntryQueries;
  readonly nodes: NodeQueries;
  readonly bundles: BundleQueries;
  readonly authorities: AuthorityQueries;
  readonly federation: FederationQueries;
  readonly #writer: Kysely<Schema>;
  readonly #reader: Kysely<Schema>;
  readonly #lock: DatabaseLock | undefined;
  readonly #log: Logger;
  readonly #keepRevisions: number;
  readonly #listeners = new Set<Listener>();
  /** Tells a call from inside a transaction's work, which would wait for itself. */
  readonly #inside = new AsyncLocalStorage<{ isOpen: boolean }>();
  /** Settles when every write so far has. */
  #tail: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: SqlStoreParts) {
    this.logId = parts.logId;
    this.#writer = parts.writer;
    this.#reader = parts.reader.withPlugin(this.#outsideOnly());
    this.#lock = parts.lock;
    this.#log = parts.log;
    this.#keepRevisions = parts.keepRevisions ?? KEEP_REVISIONS;
    this.entries = new EntryQueries(this.#reader);
    this.nodes = new NodeQueries(this.#reader);
    this.bundles = new BundleQueries(this.#reader);
    this.authorities = new AuthorityQueries(this.#reader);
    this.federation = new FederationQueries(this.#reader);
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
    const result = this.#tail.then(() => this.#commit(work));
    this.#tail = result.then(
      () => undefined,
      () => undefined, // the caller of this write hears of it; the next write does not care
    );
    return result;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#tail;
    await this.#reader.destroy();
    await this.#writer.destroy();
    this.#lock?.release();
  }

  async #commit<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const scope = { isOpen: true };
    try {
      const { result, committed } = await this.#inside.run(scope, () => this.#transact(work));
      scope.isOpen = false;
      await this.#publish(committed);
      return result;
    } finally {
      scope.isOpen = false;
    }
  }

  #transact<T>(
    work: (transaction: WriteTransaction) => Promise<T>,
  ): Promise<{ result: T; committed: CommittedRevision }> {
    return this.#writer.transaction().execute(async (sql) => {
      const revision = await takeNextRevision(sql);
      const changes = new Map<string, Change>();
      const record = (change: Change): void => {
        changes.set(JSON.stringify(change), change);
      };
      const result = await work({
        revision,
        entries: new EntryStatements(sql, record),
        nodes: new NodeStatements(sql, record),
        bundles: new BundleStatements(sql, record),
        joinTokens: new JoinTokenStatements(sql),
        authorities: new AuthorityStatements(sql, record),
        federation: new FederationStatements(sql, record),
      });
      const committed = { revision, nonce: newNonce(), changes: [...changes.values()] };
      await appendRevision(sql, committed, this.#keepRevisions);
      return { result, committed };
    });
  }

  /** The write stands whatever a listener does, so its failure is only logged. */
  async #publish(committed: CommittedRevision): Promise<void> {
    for (const listener of this.#listeners) {
      try {
        await listener(committed);
      } catch (error) {
        this.#log.error({ err: error, revision: committed.revision }, 'a follower of the change log failed');
      }
    }
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
