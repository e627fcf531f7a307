/** The change log in SQL: one row for each committed transaction, numbered without gaps, pruned at its far end. */
import { randomBytes, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Change } from '../change.js';
import type { CommittedRevision, LogPosition } from '../store.js';
import type { Queries, Schema } from './schema.js';

const HEAD = 1;
/** 12 characters of base64url. */
const NONCE_BYTES = 9;
/** So often is the log cut while it grows by its own length. */
const PRUNINGS_OF_A_LOG = 100;

/** Creates the one row when the database is new. @returns the log's id, which names this database for ever. */
export async function openLog(db: Queries): Promise<string> {
  await db
    .insertInto('log_head')
    .values({ id: HEAD, log_id: randomUUID(), revision: 0 })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
  const head = await db.selectFrom('log_head').select('log_id').executeTakeFirstOrThrow();
  return head.log_id;
}

export async function currentRevision(db: Queries): Promise<number> {
  const head = await db.selectFrom('log_head').select('revision').executeTakeFirstOrThrow();
  return head.revision;
}

export async function logPosition(db: Queries): Promise<LogPosition> {
  // One statement, so that both are of the same moment.
  const { revision, nonce } = await db
    .selectFrom('log_head')
    .leftJoin('changes', 'changes.revision', 'log_head.revision')
    .select(['log_head.revision', 'changes.nonce'])
    .executeTakeFirstOrThrow();
  return { revision, nonce: nonce ?? '' };
}

/** Empty when there is none, or none that has one. */
async function nonceOf(db: Queries, revision: number): Promise<string> {
  const row = await db
    .selectFrom('changes')
    .select('nonce')
    .where('revision', '=', revision)
    .executeTakeFirst();
  return row?.nonce ?? '';
}

/** Of a commit to be. */
export function newNonce(): string {
  return randomBytes(NONCE_BYTES).toString('base64url');
}

/** First in every transaction: the row stays locked until the commit. Without parameters, so that it can travel with what begins it. */
export async function takeNextRevision(transaction: Queries): Promise<number> {
  const head = await transaction
    .updateTable('log_head')
    .set((row) => ({ revision: row('revision', '+', row.lit(1)) }))
    .where((row) => row('id', '=', row.lit(HEAD)))
    .returning('revision')
    .executeTakeFirstOrThrow();
  return head.revision;
}

/** Last in every transaction. @returns the nonce of the commit before. */
export async function appendRevision(transaction: Queries, committed: CommittedRevision): Promise<string> {
  await transaction.insertInto('changes').values(changeRow(committed)).execute();
  return nonceOf(transaction, committed.revision - 1);
}

/** The same on PostgreSQL, which also notifies those that listen, all in one round trip. */
export async function appendAndNotify(
  transaction: Queries,
  committed: CommittedRevision,
  channel: string,
): Promise<string> {
  const { revision, nonce, changes } = changeRow(committed);
  const { rows } = await sql<{ nonce_before: string | null }>`
    with appended as (
      insert into changes (revision, nonce, changes) values (${revision}, ${nonce}, ${changes})
    )
    select (select nonce from changes where revision = ${revision - 1}) as nonce_before,
      pg_notify(${channel}, ${String(revision)})`.execute(transaction);
  return rows[0]?.nonce_before ?? '';
}

/** Now and then many at once: one in every transaction would cost each of them a round trip. @param keep how many revisions the log reaches back at least. */
export async function pruneLog(transaction: Queries, revision: number, keep: number): Promise<void> {
  const pace = Math.ceil(keep / PRUNINGS_OF_A_LOG);
  // Revisions have no gaps, so that it is exactly one server's turn.
  if (revision % pace !== 0) return;
  await transaction
    .deleteFrom('changes')
    .where('revision', '<=', revision - keep)
    .execute();
}

function changeRow({ revision, nonce, changes }: CommittedRevision): Schema['changes'] {
  return { revision, nonce, changes: JSON.stringify(changes) };
}

/** Undefined when the log no longer reaches back to `revision`, or never got that far. */
export async function readChangesSince(
  db: Queries,
  revision: number,
  limit: number,
): Promise<readonly CommittedRevision[] | undefined> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new BonafideError('internal', `limit of changes is ${limit}; expected 1 or more`);
  }
  const current = await currentRevision(db);
  if (revision > current || revision < 0) return undefined;
  if (revision === current) return [];
  const rows = await db
    .selectFrom('changes')
    .selectAll()
    .where('revision', '>', revision)
    .orderBy('revision')
    .limit(limit)
    .execute();
  // Without gaps, the first row is the very next revision unless that one was pruned.
  if (rows[0]?.revision !== revision + 1) return undefined;
  return rows.map(committedFromRow);
}

/** What was committed after a commit by name; undefined when the log does not reach back to it, or has another in its place. */
export async function readLogAfter(
  db: Queries,
  position: LogPosition,
  limit: number,
): Promise<readonly CommittedRevision[] | undefined> {
  const rows = await db
    .selectFrom('changes')
    .selectAll()
    .where('revision', '>=', position.revision)
    .orderBy('revision')
    .limit(limit + 1)
    .execute();
  const committed = rows.map(committedFromRow);
  // Of a new database there is no commit to start from.
  if (position.revision === 0) {
    const [first] = committed;
    return first === undefined || first.revision === 1 ? committed.slice(0, limit) : undefined;
  }
  const [seen, ...after] = committed;
  return seen?.revision === position.revision && seen.nonce === position.nonce ? after : undefined;
}

function committedFromRow(row: Schema['changes']): CommittedRevision {
  return {
    revision: row.revision,
    nonce: row.nonce ?? '',
    changes: JSON.parse(row.changes) as readonly Change[],
  };
}
