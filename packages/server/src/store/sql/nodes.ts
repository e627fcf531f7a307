/** Attested nodes in SQL. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Change } from '../change.js';
import type { AttestedNode, NodeFilter, NodeReader, NodeWriter, Quarantine } from '../node-record.js';
import type { Page, PageRequest } from '../store.js';
import { isInRanges } from './id-ranges.js';
import {
  chooseSource,
  countQuery,
  flagIs,
  isBelow,
  pageQuery,
  textIs,
  type Condition,
  type ListedTable,
  type Source,
} from './list-query.js';
import { chunks, readBatches, readPage } from './read-pages.js';
import type { NodeRow, Queries } from './schema.js';
import { decodeSelectors, encodeSelectors, matchesNamed, type IndexedSet } from './sets.js';
import { dateOrUndefined, flag, millisecondsOrNull } from './values.js';

const NODES: ListedTable = { name: 'nodes', key: 'agent_id' };
const SELECTORS: IndexedSet = {
  owners: NODES,
  count: 'selector_count',
  members: { name: 'node_selectors', owner: 'agent_id', member: 'selector' },
};
const KEYS_A_STATEMENT = 500;

export class NodeQueries implements NodeReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(agentId: SpiffeId): Promise<AttestedNode | undefined> {
    const row = await this.db
      .selectFrom('nodes')
      .selectAll()
      .where('agent_id', '=', agentId)
      .executeTakeFirst();
    return row === undefined ? undefined : nodeFromRow(row);
  }

  async getMany(agentIds: readonly SpiffeId[]): Promise<readonly AttestedNode[]> {
    const found: AttestedNode[] = [];
    for (const some of chunks(agentIds, KEYS_A_STATEMENT)) {
      const rows = await this.db.selectFrom('nodes').selectAll().where('agent_id', 'in', some).execute();
      found.push(...rows.map(nodeFromRow));
    }
    return found;
  }

  async list(filter: NodeFilter, page: PageRequest): Promise<Page<AttestedNode>> {
    const source = await chooseSource(this.db, NODES, conditionsOf(filter));
    return readPage(page, keyOf, (after, limit) => this.#read(source, after, limit));
  }

  async count(filter: NodeFilter): Promise<number> {
    const source = await chooseSource(this.db, NODES, conditionsOf(filter));
    const { rows } = await countQuery(source).execute(this.db);
    return rows[0]?.total ?? 0;
  }

  async *all(): AsyncGenerator<readonly AttestedNode[], void, undefined> {
    const source = await chooseSource(this.db, NODES, []);
    yield* readBatches(keyOf, (after, limit) => this.#read(source, after, limit));
  }

  async #read(source: Source, after: string | undefined, limit: number): Promise<readonly AttestedNode[]> {
    const { rows } = await pageQuery<NodeRow>(NODES, source, after, limit).execute(this.db);
    return rows.map(nodeFromRow);
  }
}

function conditionsOf(filter: NodeFilter): readonly Condition[] {
  const conditions: Condition[] = [];
  if (filter.attestationType !== undefined) {
    conditions.push(textIs(NODES, 'attestation_type', filter.attestationType));
  }
  if (filter.isBanned !== undefined) {
    conditions.push(flagIs(NODES, 'is_banned', filter.isBanned, filter.isBanned));
  }
  if (filter.canReattest !== undefined) {
    conditions.push(flagIs(NODES, 'can_reattest', filter.canReattest, !filter.canReattest));
  }
  if (filter.expiresBefore !== undefined) {
    conditions.push(isBelow(NODES, 'expires_at', filter.expiresBefore.getTime()));
  }
  if (filter.among !== undefined) conditions.push(isInRanges(NODES, 'agent_id', filter.among));
  if (filter.selectors !== undefined) {
    const { named, match } = filter.selectors;
    conditions.push(matchesNamed(SELECTORS, named.map(formatSelector), match));
  }
  return conditions;
}

export class NodeStatements extends NodeQueries implements NodeWriter {
  readonly #record: (change: Change) => void;

  constructor(db: Queries, record: (change: Change) => void) {
    super(db);
    this.#record = record;
  }

  async put(node: AttestedNode): Promise<void> {
    const row = rowFromNode(node);
    const before = await this.get(node.agentId);
    const { agent_id: agentId, ...columns } = row;
    await this.db
      .insertInto('nodes')
      .values(row)
      .onConflict((conflict) => conflict.column('agent_id').doUpdateSet(columns))
      .execute();
    // Most writes renew the SVID and leave the selectors as they are.
    const changesSelectors = before === undefined || encodeSelectors(before.selectors) !== row.selectors;
    if (changesSelectors) {
      if (before !== undefined) await this.#deleteSelectors(before);
      await this.#insertSelectors(nodeFromRow(row));
    }
    const isReset =
      before?.isBanned !== node.isBanned ||
      (before.quarantine === undefined) !== (node.quarantine === undefined);
    this.#record({
      kind: 'node',
      agentId: agentId as SpiffeId,
      effect: isReset ? 'reset' : changesSelectors ? 'selectors' : 'renewed',
    });
  }

  async delete(agentId: SpiffeId): Promise<void> {
    const node = await this.get(agentId);
    if (node === undefined) throw new BonafideError('not_found', `there is no agent ${agentId}`);
    await this.#deleteSelectors(node);
    await this.db.deleteFrom('nodes').where('agent_id', '=', agentId).execute();
    await this.db.deleteFrom('node_proofs').where('agent_id', '=', agentId).execute();
    this.#record({ kind: 'node', agentId, effect: 'reset' });
  }

  async #insertSelectors(node: AttestedNode): Promise<void> {
    for (const some of chunks(node.selectors, KEYS_A_STATEMENT)) {
      const rows = some.map((selector) => ({ agent_id: node.agentId, selector: formatSelector(selector) }));
      await this.db.insertInto('node_selectors').values(rows).execute();
    }
  }

  async #deleteSelectors(node: AttestedNode): Promise<void> {
    for (const some of chunks(node.selectors, KEYS_A_STATEMENT)) {
      await this.db
        .deleteFrom('node_selectors')
        .where('selector', 'in', some.map(formatSelector))
        .where('agent_id', '=', node.agentId)
        .execute();
    }
  }
}

function rowFromNode(node: AttestedNode): NodeRow {
  const selectors = encodeSelectors(node.selectors);
  return {
    agent_id: node.agentId,
    attestation_type: node.attestationType,
    serial_number: node.serialNumber ?? null,
    expires_at: node.expiresAt.getTime(),
    next_serial_number: node.nextSerialNumber ?? null,
    next_expires_at: millisecondsOrNull(node.nextExpiresAt),
    selectors,
    selector_count: decodeSelectors(selectors).length,
    is_banned: flag(node.isBanned),
    can_reattest: flag(node.canReattest),
    agent_version: node.agentVersion ?? null,
    quarantine: encodeQuarantine(node.quarantine),
  };
}

function nodeFromRow(row: NodeRow): AttestedNode {
  return {
    agentId: row.agent_id as SpiffeId,
    attestationType: row.attestation_type,
    serialNumber: row.serial_number ?? undefined,
    expiresAt: new Date(row.expires_at),
    nextSerialNumber: row.next_serial_number ?? undefined,
    nextExpiresAt: dateOrUndefined(row.next_expires_at),
    selectors: decodeSelectors(row.selectors),
    isBanned: row.is_banned === 1,
    canReattest: row.can_reattest === 1,
    agentVersion: row.agent_version ?? undefined,
    quarantine: decodeQuarantine(row.quarantine),
  };
}

function encodeQuarantine(quarantine: Quarantine | undefined): string | null {
  if (quarantine === undefined) return null;
  const { since, findings } = quarantine;
  return JSON.stringify({ since: since.getTime(), findings });
}

function decodeQuarantine(text: string | null): Quarantine | undefined {
  if (text === null) return undefined;
  const { since, findings } = JSON.parse(text) as {
    readonly since: number;
    readonly findings: Quarantine['findings'];
  };
  return { since: new Date(since), findings };
}

function keyOf(node: AttestedNode): string {
  return node.agentId;
}
