/** SPIRE's PostgreSQL database, read in one transaction that can write nothing. */
import { Client } from 'pg';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { preparePostgres } from '../postgres/access.js';
import { clientConfig } from '../postgres/database.js';
import { translatePostgresError } from '../postgres/database-error.js';
import { describeTarget, parsePostgresTarget } from '../postgres/target.js';
import { selectText, type SpireDatabase, type SpireRow, type SpireTable } from './spire-database.js';

const STATEMENT_LIMIT_MS = 300_000;
const ROWS_A_FETCH = 2000;

/** @param text a URL, or keywords and values. @throws BonafideError saying why it cannot be reached; without secrets. */
export async function openSpirePostgres(text: string): Promise<SpireDatabase> {
  const target = parsePostgresTarget(text);
  const access = await preparePostgres(target);
  const client = new Client(clientConfig(access, STATEMENT_LIMIT_MS));
  const where = `PostgreSQL ${describeTarget(target)}`;
  client.on('error', () => undefined); // the statement that runs fails and tells
  try {
    await client.connect();
    // What we do between two fetches is short, but not bounded by twenty seconds on a slow machine.
    await client.query('SET idle_in_transaction_session_timeout = 0');
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  } catch (error) {
    await client.end().catch(() => undefined); // it may never have been connected
    throw failed(where, error);
  }
  return new SpirePostgres(where, client);
}

class SpirePostgres implements SpireDatabase {
  readonly description: string;
  readonly #client: Client;
  #cursors = 0;

  constructor(description: string, client: Client) {
    this.description = description;
    this.#client = client;
  }

  async columnsOf(table: string): Promise<ReadonlySet<string>> {
    const rows = await this.#query(
      'SELECT column_name FROM information_schema.columns WHERE table_schema = ANY (current_schemas(false)) AND table_name = $1',
      [table],
    );
    return new Set(rows.map((row) => String(row['column_name'])));
  }

  async *rows(table: SpireTable): AsyncGenerator<SpireRow, void, undefined> {
    const cursor = `spire_rows_${(this.#cursors += 1)}`;
    await this.#query(`DECLARE ${cursor} NO SCROLL CURSOR FOR ${selectText(table)}`);
    for (;;) {
      const rows = await this.#query(`FETCH ${ROWS_A_FETCH} FROM ${cursor}`);
      yield* rows;
      if (rows.length < ROWS_A_FETCH) break;
    }
    await this.#query(`CLOSE ${cursor}`);
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  async #query(text: string, values: readonly unknown[] = []): Promise<readonly SpireRow[]> {
    try {
      return (await this.#client.query<SpireRow>(text, [...values])).rows;
    } catch (error) {
      throw failed(this.description, error);
    }
  }
}

function failed(where: string, error: unknown): unknown {
  const translated = translatePostgresError(error, where);
  if (translated instanceof BonafideError) return translated;
  return new BonafideError('unavailable', `cannot read ${where}: ${errorMessage(error)}`, { cause: error });
}
