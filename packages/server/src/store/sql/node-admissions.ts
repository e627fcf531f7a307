/** Nodes that asked to be let in, in SQL: one row each. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type {
  NodeAdmissionReader,
  NodeAdmissionRecord,
  NodeAdmissionWriter,
  NodeDecision,
} from '../node-admission-record.js';
import type { Page, PageRequest } from '../store.js';
import { readPage } from './read-pages.js';
import type { NodeAdmissionRow, Queries } from './schema.js';
import { decodeSelectors, encodeSelectors } from './sets.js';

export class NodeAdmissionQueries implements NodeAdmissionReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(agentId: SpiffeId): Promise<NodeAdmissionRecord | undefined> {
    const row = await this.db
      .selectFrom('node_admissions')
      .selectAll()
      .where('agent_id', '=', agentId)
      .executeTakeFirst();
    return row === undefined ? undefined : recordFromRow(row);
  }

  list(now: Date, page: PageRequest): Promise<Page<NodeAdmissionRecord>> {
    return readPage(
      page,
      ({ agentId }: NodeAdmissionRecord) => agentId,
      async (after, limit) => {
        let query = this.db
          .selectFrom('node_admissions')
          .selectAll()
          .where('expires_at', '>', now.getTime())
          .orderBy('agent_id')
          .limit(limit);
        if (after !== undefined) query = query.where('agent_id', '>', after);
        return (await query.execute()).map(recordFromRow);
      },
    );
  }

  async count(): Promise<number> {
    const { rows } = await this.db
      .selectFrom('node_admissions')
      .select(({ fn }) => fn.countAll().as('rows'))
      .executeTakeFirstOrThrow();
    return Number(rows);
  }

  async countExpired(now: Date): Promise<number> {
    const { rows } = await this.db
      .selectFrom('node_admissions')
      .select(({ fn }) => fn.countAll().as('rows'))
      .where('expires_at', '<=', now.getTime())
      .executeTakeFirstOrThrow();
    return Number(rows);
  }
}

export class NodeAdmissionStatements extends NodeAdmissionQueries implements NodeAdmissionWriter {
  async put(record: NodeAdmissionRecord): Promise<void> {
    const { agent_id: agentId, ...columns } = rowFromRecord(record);
    await this.db
      .insertInto('node_admissions')
      .values({ agent_id: agentId, ...columns })
      .onConflict((conflict) => conflict.column('agent_id').doUpdateSet(columns))
      .execute();
  }

  async delete(agentId: SpiffeId): Promise<void> {
    await this.db.deleteFrom('node_admissions').where('agent_id', '=', agentId).execute();
  }

  async deleteExpired(now: Date): Promise<void> {
    await this.db.deleteFrom('node_admissions').where('expires_at', '<=', now.getTime()).execute();
  }
}

interface WrittenDecision extends Omit<NodeDecision, 'at'> {
  readonly at: number;
}

function rowFromRecord(record: NodeAdmissionRecord): NodeAdmissionRow {
  const decisions = record.decisions.map(({ by, isApproval, at, reason }): WrittenDecision => {
    return { by, isApproval, at: at.getTime(), reason };
  });
  return {
    agent_id: record.agentId,
    attestation_type: record.attestationType,
    selectors: encodeSelectors(record.selectors),
    address: record.address,
    first_asked_at: record.firstAskedAt.getTime(),
    last_asked_at: record.lastAskedAt.getTime(),
    expires_at: record.expiresAt.getTime(),
    decisions: JSON.stringify(decisions),
  };
}

function recordFromRow(row: NodeAdmissionRow): NodeAdmissionRecord {
  const decisions = JSON.parse(row.decisions) as readonly WrittenDecision[];
  return {
    agentId: row.agent_id as SpiffeId,
    attestationType: row.attestation_type,
    selectors: decodeSelectors(row.selectors),
    address: row.address,
    firstAskedAt: new Date(row.first_asked_at),
    lastAskedAt: new Date(row.last_asked_at),
    expiresAt: new Date(row.expires_at),
    decisions: decisions.map(({ at, ...decision }) => ({ ...decision, at: new Date(at) })),
  };
}
