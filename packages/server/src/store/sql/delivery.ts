/** Questions between the servers of a PostgreSQL database: two small tables, and a channel that says when to look at them. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type {
  DeliveryAnswer,
  DeliveryEvent,
  DeliveryExchange,
  DeliveryQuestion,
} from '../delivery-exchange.js';
import type { Queries } from './schema.js';

export interface DeliveryQueriesOptions {
  /** Of the primary. */
  readonly db: Queries;
  readonly serverId: string;
  /** Of this database and no other on the same PostgreSQL. */
  readonly channel: string;
  /** Names the connections that listen on the channel; each ends in the id of its server. */
  readonly listenerPrefix: string;
}

/** Milliseconds since the epoch by the one clock that all servers share. */
const NOW_MS = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`;
const NOW_MICROSECONDS = sql<number>`(extract(epoch from clock_timestamp()) * 1000000)::bigint`;
const QUESTIONS = 'questions';
const ANSWERED = 'answered ';

export class DeliveryQueries implements DeliveryExchange {
  readonly #options: DeliveryQueriesOptions;
  readonly #listeners = new Set<(event: DeliveryEvent) => void>();

  constructor(options: DeliveryQueriesOptions) {
    this.#options = options;
  }

  /** @param payload of a notification on the channel; what is not understood is of a newer release. */
  heard(payload: string): void {
    const event: DeliveryEvent | undefined =
      payload === QUESTIONS
        ? { kind: 'questions' }
        : payload.startsWith(ANSWERED)
          ? { kind: 'answered', questionId: payload.slice(ANSWERED.length) }
          : undefined;
    if (event === undefined) return;
    for (const listener of [...this.#listeners]) listener(event);
  }

  subscribe(listener: (event: DeliveryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async listeningServers(): Promise<readonly string[]> {
    const { db, serverId, listenerPrefix } = this.#options;
    const { rows } = await sql<{ name: string }>`
      select distinct application_name as name from pg_stat_activity
      where datname = current_database() and starts_with(application_name, ${listenerPrefix})`.execute(db);
    return rows.map(({ name }) => name.slice(listenerPrefix.length)).filter((id) => id !== serverId);
  }

  async ask(revision: number, lifeMs: number): Promise<string> {
    const { db, serverId } = this.#options;
    const id = randomUUID();
    await db
      .insertInto('delivery_questions')
      .values({ id, revision, asked_by: serverId, expires_at: sql<number>`${NOW_MS} + ${Math.ceil(lifeMs)}` })
      .execute();
    await this.#notify(QUESTIONS);
    return id;
  }

  async repeat(questionId: string): Promise<boolean> {
    const { db, channel } = this.#options;
    const { rows } = await sql`
      select pg_notify(${channel}, ${QUESTIONS}) from delivery_questions where id = ${questionId}`.execute(
      db,
    );
    return rows.length > 0;
  }

  async takeAnswers(questionId: string): Promise<readonly DeliveryAnswer[]> {
    const rows = await this.#options.db
      .deleteFrom('delivery_answers')
      .where('question_id', '=', questionId)
      .returning(['server_id', 'body', 'written_at'])
      .execute();
    return rows
      .sort((a, b) => a.written_at - b.written_at)
      .map((row) => ({ serverId: row.server_id, body: row.body }));
  }

  async withdraw(questionId: string): Promise<void> {
    await this.#options.db
      .deleteFrom('delivery_questions')
      .where((row) => row.or([row('id', '=', questionId), row('expires_at', '<=', NOW_MS)]))
      .execute();
    await this.#notify(QUESTIONS);
  }

  async openQuestions(limit: number): Promise<readonly DeliveryQuestion[]> {
    return this.#options.db
      .selectFrom('delivery_questions')
      .select(['id', 'revision'])
      .where('asked_by', '!=', this.#options.serverId)
      .where('expires_at', '>', NOW_MS)
      .orderBy('expires_at')
      .limit(limit)
      .execute();
  }

  async answer(questionId: string, body: string): Promise<boolean> {
    const { db, serverId, channel } = this.#options;
    const { rows } = await sql`
      with written as (
        insert into delivery_answers (id, question_id, server_id, body, written_at)
        select ${randomUUID()}, id, ${serverId}, ${body}, ${NOW_MICROSECONDS} from delivery_questions
        where id = ${questionId} and expires_at > ${NOW_MS}
        returning id
      )
      select pg_notify(${channel}, ${ANSWERED + questionId}) from written`.execute(db);
    return rows.length > 0;
  }

  async #notify(payload: string): Promise<void> {
    const { db, channel } = this.#options;
    await sql`select pg_notify(${channel}, ${payload})`.execute(db);
  }
}
