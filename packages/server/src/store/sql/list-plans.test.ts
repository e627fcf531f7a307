import { CompiledQuery, type Kysely, type KyselyPlugin } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { agentId, spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryFilter } from '../entry-record.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../example-records.js';
import type { NodeFilter } from '../node-record.js';
import { preparePostgres } from '../postgres/access.js';
import { connectPostgres } from '../postgres/database.js';
import { parsePostgresTarget } from '../postgres/target.js';
import { connectSqlite, IN_MEMORY } from '../sqlite-database.js';
import { DATABASES, usePostgres } from '../store-fixtures.js';
import { BundleStatements } from './bundles.js';
import { EntryQueries } from './entries.js';
import { EntryStatements } from './entry-statements.js';
import { migrate } from './migrate.js';
import { NodeQueries, NodeStatements } from './nodes.js';
import type { Schema } from './schema.js';

const ROWS = 1500;
const FEW = 10;
/** Rows that a page of a few may look at: itself and what two conditions share, a few times over, never the table. */
const MAX_VISITED = 700;

const id = (path: string) => spiffeIdFromParts('example.org', path);
const named = (...texts: readonly string[]) => texts.map(parseSelector);
const RARE = ['a.example'].map(exampleTrustDomain);

/** Each finds a few of the rows, and none may look at the rest. */
const ENTRY_FILTERS: Readonly<Record<string, EntryFilter>> = {
  'SPIFFE ID': { spiffeId: id('/rare/one') },
  'parent ID': { parentId: id('/spire/agent/x/rare') },
  hint: { hint: 'rare' },
  downstream: { isDownstream: true },
  'selectors, exact': { selectors: { named: named('a:all', 'a:rare'), match: 'exact' } },
  'selectors, superset': { selectors: { named: named('a:all', 'a:rare'), match: 'superset' } },
  // Whatever shares a member is looked at: no index knows which sets are within another.
  'federates with, subset': { federatesWith: { named: RARE, match: 'subset' } },
  'selectors, any': { selectors: { named: named('a:rare', 'a:none'), match: 'any' } },
  'federates with, exact': { federatesWith: { named: RARE, match: 'exact' } },
  'federates with, any': { federatesWith: { named: RARE, match: 'any' } },
  'under a SPIFFE ID': { under: ['spiffe://example.org/rare/'] },
  'under several SPIFFE IDs, of which one is in another': {
    under: ['spiffe://example.org/none/', 'spiffe://example.org/rare/', 'spiffe://example.org/rare/below/'],
  },
  'under a common SPIFFE ID, of a rare hint': { under: ['spiffe://example.org/'], hint: 'rare' },
  'none: under a SPIFFE ID, with a common parent': {
    under: ['spiffe://example.org/rare/'],
    parentId: id('/spire/agent/x/common'),
  },
  'a common and a rare condition': {
    selectors: { named: named('a:all'), match: 'superset' },
    hint: 'rare',
  },
  'none: a common parent and rare selectors': {
    parentId: id('/spire/agent/x/common'),
    selectors: { named: named('a:rare'), match: 'any' },
  },
};

const NODE_FILTERS: Readonly<Record<string, NodeFilter>> = {
  'attestation type': { attestationType: 'rare' },
  banned: { isBanned: true },
  'cannot reattest': { canReattest: false },
  'expires before': { expiresBefore: new Date(1000) },
  selectors: { selectors: { named: named('a:all', 'a:rare'), match: 'superset' } },
  'agents under an ID': { among: ['spiffe://example.org/spire/agent/y/'] },
  'none: agents under an ID, of a common type': {
    among: ['spiffe://example.org/spire/agent/y/'],
    attestationType: 'common',
  },
  'none: common and rare': { attestationType: 'common', canReattest: true, isBanned: true },
};

interface Planned {
  readonly db: Kysely<Schema>;
  /** Of every statement since, how it is carried out; throws for one that looks at too much. */
  readonly check: (run: (db: Kysely<Schema>) => Promise<unknown>) => Promise<void>;
}

describe.each(DATABASES)('a filtered list on %s', (database) => {
  const postgres = database === 'postgres' ? usePostgres() : undefined;
  let planned: Planned;

  beforeEach(async () => {
    const db =
      postgres === undefined ? connectSqlite(IN_MEMORY, 'write') : await connect(await postgres.url());
    await migrate(db);
    await fill(db);
    if (database === 'postgres') await db.executeQuery(CompiledQuery.raw('analyze'));
    planned = { db, check: (run) => checkPlans(db, database, run) };
  });

  afterEach(async () => {
    await planned.db.destroy();
  });

  it('looks at nothing that its filter excludes, page by page and when it counts', async () => {
    for (const [what, filter] of Object.entries(ENTRY_FILTERS)) {
      let found = 0;
      await planned.check(async (db) => {
        const entries = new EntryQueries(db);
        const first = await entries.list(filter, { size: 4, token: undefined });
        await entries.list(filter, { size: 4, token: first.nextPageToken });
        found = await entries.count(filter);
      });
      expect([what, found]).toEqual([what, what.startsWith('none') ? 0 : FEW]);
    }
    for (const [what, filter] of Object.entries(NODE_FILTERS)) {
      let found = 0;
      await planned.check(async (db) => {
        const nodes = new NodeQueries(db);
        const first = await nodes.list(filter, { size: 4, token: undefined });
        await nodes.list(filter, { size: 4, token: first.nextPageToken });
        found = await nodes.count(filter);
      });
      expect([what, found]).toEqual([what, what.startsWith('none') ? 0 : FEW]);
    }
  });

  it('is told apart from one that walks the table', async () => {
    const walk = planned.check((db) =>
      db.selectFrom('entries').selectAll().where('dns_names', '=', 'x').orderBy('id').limit(4).execute(),
    );
    await expect(walk).rejects.toThrow();
  });
});

async function connect(url: string): Promise<Kysely<Schema>> {
  const access = await preparePostgres(parsePostgresTarget(url));
  return connectPostgres(access, { maxConnections: 1 }).db;
}

/** Most are common in every way; every so many is rare in all of them, so that a planner's guess would be the table's order. */
async function fill(database: Kysely<Schema>): Promise<void> {
  await database.transaction().execute(async (db) => {
    const ignore = (): void => undefined;
    await new BundleStatements(db, ignore).put(exampleBundle('a.example'));
    const entries = new EntryStatements(db, ignore);
    for (let index = 0; index < ROWS; index += 1) {
      // The rare ones come last: a walk in the order of the ids would see all the others first.
      const isRare = index >= ROWS - FEW;
      const content = exampleEntry({
        path: isRare ? '/rare/one' : '/common',
        parent: `/spire/agent/x/${isRare ? 'rare' : 'common'}`,
        selectors: isRare ? ['a:all', 'a:rare'] : ['a:all', `a:${index % 50}`],
      });
      const rare = isRare ? { hint: 'rare', isDownstream: true, federatesWith: RARE } : { hint: 'common' };
      const entryId = `e${index.toString().padStart(6, '0')}`;
      await entries.create({ ...content, ...rare }, { id: entryId, createdAt: new Date(0) });
    }
    const nodes = new NodeStatements(db, ignore);
    for (let index = 0; index < ROWS; index += 1) {
      const isRare = index >= ROWS - FEW;
      await nodes.put(
        exampleNode({
          agentId: agentId(
            exampleTrustDomain('example.org'),
            isRare ? 'y' : 'x',
            index.toString().padStart(6, '0'),
          ),
          attestationType: isRare ? 'rare' : 'common',
          selectors: named('a:all', isRare ? 'a:rare' : `a:${index % 50}`),
          isBanned: isRare,
          canReattest: !isRare,
          expiresAt: new Date(isRare ? 0 : 5000),
        }),
      );
    }
  });
}

/** Runs the reads, and has each of their statements explained. */
async function checkPlans(
  db: Kysely<Schema>,
  database: (typeof DATABASES)[number],
  run: (db: Kysely<Schema>) => Promise<unknown>,
): Promise<void> {
  const statements: CompiledQuery[] = [];
  const listening: KyselyPlugin = {
    transformQuery: ({ node, queryId }) => {
      statements.push(db.getExecutor().compileQuery(node, queryId));
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  };
  await run(db.withPlugin(listening));
  expect(statements.length).toBeGreaterThan(0);
  for (const { sql, parameters } of statements) {
    if (database === 'sqlite') {
      const plan = await explained<{ detail: string }>(db, `explain query plan ${sql}`, parameters);
      for (const { detail } of plan) if (isWalk(detail)) throw new Error(`${detail}: ${sql}`);
    } else {
      const plan = await explained<{ 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }] }>(
        db,
        `explain (analyze, format json) ${sql}`,
        parameters,
      );
      const visited = plan.reduce((total, row) => total + rowsVisited(row['QUERY PLAN'][0].Plan), 0);
      if (visited > MAX_VISITED) throw new Error(`${visited} rows: ${sql} ${JSON.stringify(plan)}`);
    }
  }
}

async function explained<Row>(
  db: Kysely<Schema>,
  statement: string,
  parameters: readonly unknown[],
): Promise<readonly Row[]> {
  return (await db.executeQuery<Row>(CompiledQuery.raw(statement, [...parameters]))).rows;
}

/** Of a table, from its start or from where the last page ended, rather than by what is asked for. */
function isWalk(detail: string): boolean {
  if (/^SCAN (entries|nodes)/.test(detail))
    return !/(entries_downstream|nodes_banned|nodes_cannot_reattest)/.test(detail);
  if (/^SCAN entry_|^SCAN node_/.test(detail)) return true;
  return /^SEARCH \w+ USING .*autoindex\w* \((id|agent_id)>\?\)/.test(detail);
}

interface PlanNode {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

function rowsVisited(node: PlanNode): number {
  const own = (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
  return (node.Plans ?? []).reduce((total, below) => total + rowsVisited(below), own);
}
