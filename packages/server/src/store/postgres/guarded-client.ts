/** A connection of the pool while somebody uses it: whether it may be used again, and what its failures mean. */
import type { PostgresCursor, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import type { PoolClient, QueryResult } from 'pg';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { isConnectionLost, isReadOnly } from './database-error.js';

export interface GuardedClientOptions {
  /** Throws it in our words, and says so where the database is watched. */
  readonly fail: (error: unknown) => never;
  readonly onRelease: () => void;
}

const NOTHING_TO_SAY = { rowCount: 0, rows: [] } as const;

export class GuardedClient implements PostgresPoolClient {
  readonly #client: PoolClient;
  readonly #options: GuardedClientOptions;
  #isBroken = false;
  #isReleased = false;
  /** Begins with the first statement, which saves a round trip. */
  #isBeginDue = false;

  constructor(client: PoolClient, options: GuardedClientOptions) {
    this.#client = client;
    this.#options = options;
  }

  query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query<R>(text: string | PostgresCursor<R>, parameters: readonly unknown[] = []): unknown {
    if (typeof text !== 'string') throw new BonafideError('internal', 'cursors are not used');
    return this.#query(text, parameters);
  }

  release(): void {
    // One that is still in a transaction would let the next user write into it.
    this.#release(this.#isBroken || this.#client.getTransactionStatus() !== 'I');
  }

  /** Whoever waits for an answer hears that the connection is lost. */
  abandon(): void {
    this.#release(true);
  }

  #release(endsIt: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#options.onRelease();
    this.#client.release(endsIt);
  }

  async #query(text: string, parameters: readonly unknown[]): Promise<unknown> {
    // The database rolls back by itself; failing here would hide why.
    if (text === 'rollback' && this.#isBroken) return { ...NOTHING_TO_SAY, command: 'ROLLBACK' };
    if (text === 'begin') {
      this.#isBeginDue = true;
      return { ...NOTHING_TO_SAY, command: 'BEGIN' };
    }
    if (this.#isBeginDue && (text === 'commit' || text === 'rollback')) {
      this.#isBeginDue = false;
      return { ...NOTHING_TO_SAY, command: text.toUpperCase() };
    }
    let result;
    try {
      result = await this.#send(text, [...parameters]);
    } catch (error) {
      this.#isBroken ||= isConnectionLost(error) || isReadOnly(error);
      if (text === 'commit' && isConnectionLost(error)) throw this.#doubtful(error);
      return this.#options.fail(error);
    }
    if (text === 'commit' && result.command !== 'COMMIT') {
      throw new BonafideError(
        'internal',
        'a statement of the transaction had failed; nothing of it was committed',
      );
    }
    return result;
  }

  async #send(text: string, parameters: unknown[]): Promise<QueryResult> {
    if (!this.#isBeginDue) return this.#client.query(text, parameters);
    this.#isBeginDue = false;
    if (parameters.length > 0) {
      await this.#client.query('begin');
      return this.#client.query(text, parameters);
    }
    // Of two statements the driver makes a list of results.
    const [, result] = [await this.#client.query(`begin; ${text}`)].flat();
    if (result === undefined) throw new BonafideError('internal', 'the database left a statement out');
    return result;
  }

  #doubtful(error: unknown): BonafideError {
    try {
      return this.#options.fail(error);
    } catch (failure) {
      return new BonafideError(
        'unavailable',
        `the connection was lost while the change was being committed, so it may stand; look before trying again: ${errorMessage(failure)}`,
        { cause: failure },
      );
    }
  }
}
