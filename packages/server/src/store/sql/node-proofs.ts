/** What was noted of nodes when they last proved themselves, in SQL. */
import { sql } from 'kysely';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Change } from '../change.js';
import type { NodeProofReader, NodeProofRecord, NodeProofWriter } from '../node-record.js';
import { chunks } from './read-pages.js';
import type { NodeProofRow, Queries } from './schema.js';
import { dateOrUndefined, millisecondsOrNull } from './values.js';

const KEYS_A_STATEMENT = 500;

class NodeProofLookups {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(agentId: SpiffeId): Promise<NodeProofRecord | undefined> {
    const [record] = await this.getMany([agentId]);
    return record;
  }

  async getMany(agentIds: readonly SpiffeId[]): Promise<readonly NodeProofRecord[]> {
    const found: NodeProofRecord[] = [];
    for (const some of chunks(agentIds, KEYS_A_STATEMENT)) {
      const rows = await this.db
        .selectFrom('node_proofs')
        .selectAll()
        .where('agent_id', 'in', some)
        .execute();
      found.push(...rows.map(recordFromRow));
    }
    return found;
  }
}

export class NodeProofQueries extends NodeProofLookups implements NodeProofReader {
  readonly #writer: Queries;

  /** @param writer of the statements that take no revision. */
  constructor(reader: Queries, writer: Queries) {
    super(reader);
    this.#writer = writer;
  }

  async touch(provenAt: ReadonlyMap<SpiffeId, Date>): Promise<void> {
    for (const some of chunks([...provenAt], KEYS_A_STATEMENT)) {
      const times = sql.join(some.map(([agentId, at]) => sql`(${agentId}, cast(${at.getTime()} as bigint))`));
      // Both databases call the columns of a list of values column1 and column2.
      await sql`
        update node_proofs set
          proven_at = case when proven_at > seen.column2 then proven_at else seen.column2 end,
          requested_at = case when requested_at > seen.column2 then requested_at end
        from (values ${times}) as seen where node_proofs.agent_id = seen.column1`.execute(this.#writer);
    }
  }
}

export class NodeProofStatements extends NodeProofLookups implements NodeProofWriter {
  readonly #record: (change: Change) => void;

  constructor(db: Queries, record: (change: Change) => void) {
    super(db);
    this.#record = record;
  }

  async put(record: NodeProofRecord): Promise<void> {
    const { agent_id: agentId, ...columns } = rowFromRecord(record);
    const isRequested = columns.requested_at !== null && !(await this.#isRequestedAt(record));
    await this.db
      .insertInto('node_proofs')
      .values({ agent_id: agentId, ...columns })
      .onConflict((conflict) => conflict.column('agent_id').doUpdateSet(columns))
      .execute();
    if (isRequested) this.#record({ kind: 'node_proof', agentId: record.agentId });
  }

  async delete(agentId: SpiffeId): Promise<void> {
    await this.db.deleteFrom('node_proofs').where('agent_id', '=', agentId).execute();
  }

  async #isRequestedAt({ agentId, requestedAt }: NodeProofRecord): Promise<boolean> {
    return (await this.get(agentId))?.requestedAt?.getTime() === requestedAt?.getTime();
  }
}

function rowFromRecord({ agentId, provenAt, requestedAt, record }: NodeProofRecord): NodeProofRow {
  return {
    agent_id: agentId,
    proven_at: millisecondsOrNull(provenAt),
    requested_at: millisecondsOrNull(requestedAt),
    record: record ?? null,
  };
}

function recordFromRow(row: NodeProofRow): NodeProofRecord {
  return {
    agentId: row.agent_id as SpiffeId,
    provenAt: dateOrUndefined(row.proven_at),
    requestedAt: dateOrUndefined(row.requested_at),
    record: row.record ?? undefined,
  };
}
