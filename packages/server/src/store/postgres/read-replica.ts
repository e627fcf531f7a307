/** Lists for operators from a read replica, as long as it can be reached and holds what this server knows of; otherwise from the primary. */
import type { Kysely, KyselyPlugin } from 'kysely';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { EntryFilter } from '../entry-record.js';
import type { AttestedNode, NodeFilter } from '../node-record.js';
import { EntryQueries } from '../sql/entries.js';
import { NodeQueries } from '../sql/nodes.js';
import type { Queries, Schema } from '../sql/schema.js';
import type { Page, PageRequest } from '../store.js';

/** So that a replica that is down does not make every list wait for it. */
const AVOIDED_FOR_MS = 10_000;

export interface ReadReplicaParts {
  readonly db: Kysely<Schema>;
  readonly logId: string;
  /** The last revision that this server has heard of: whoever wrote must find it in the next list. */
  readonly knownRevision: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ReadReplica {
  readonly #parts: ReadReplicaParts;
  #avoidedUntilMs = 0;

  constructor(parts: ReadReplicaParts) {
    this.#parts = parts;
  }

  withPlugin(plugin: KyselyPlugin): ReadReplica {
    return new ReadReplica({ ...this.#parts, db: this.#parts.db.withPlugin(plugin) });
  }

  async prefer<T>(read: (db: Queries) => Promise<T>, fromPrimary: () => Promise<T>): Promise<T> {
    const { db, clock, log } = this.#parts;
    if (clock.monotonicMs() < this.#avoidedUntilMs) return fromPrimary();
    try {
      if (await this.#isCurrent()) return await read(db);
    } catch (error) {
      // What is wrong with the question is wrong at the primary too.
      if (hasReason(error, 'invalid_argument')) throw error;
      this.#avoidedUntilMs = clock.monotonicMs() + AVOIDED_FOR_MS;
      log.warn({ problem: errorMessage(error) }, 'the read replica failed; lists come from the primary');
    }
    return fromPrimary();
  }

  async #isCurrent(): Promise<boolean> {
    const { db, logId, knownRevision, clock, log } = this.#parts;
    const wanted = knownRevision();
    const head = await db.selectFrom('log_head').select(['log_id', 'revision']).executeTakeFirst();
    if (head?.log_id === logId) return head.revision >= wanted;
    this.#avoidedUntilMs = clock.monotonicMs() + AVOIDED_FOR_MS;
    log.error('read_replica_url leads to another database than url; lists come from the primary');
    return false;
  }
}

export class ReplicaEntries extends EntryQueries {
  readonly #replica: ReadReplica;

  constructor(primary: Queries, replica: ReadReplica) {
    super(primary);
    this.#replica = replica;
  }

  override list(filter: EntryFilter, page: PageRequest): Promise<Page<RegistrationEntry>> {
    return this.#replica.prefer(
      (db) => new EntryQueries(db).list(filter, page),
      () => super.list(filter, page),
    );
  }

  override count(filter: EntryFilter): Promise<number> {
    return this.#replica.prefer(
      (db) => new EntryQueries(db).count(filter),
      () => super.count(filter),
    );
  }
}

export class ReplicaNodes extends NodeQueries {
  readonly #replica: ReadReplica;

  constructor(primary: Queries, replica: ReadReplica) {
    super(primary);
    this.#replica = replica;
  }

  override list(filter: NodeFilter, page: PageRequest): Promise<Page<AttestedNode>> {
    return this.#replica.prefer(
      (db) => new NodeQueries(db).list(filter, page),
      () => super.list(filter, page),
    );
  }

  override count(filter: NodeFilter): Promise<number> {
    return this.#replica.prefer(
      (db) => new NodeQueries(db).count(filter),
      () => super.count(filter),
    );
  }
}
