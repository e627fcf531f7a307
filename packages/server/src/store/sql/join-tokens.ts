/** Join tokens in SQL, by their SHA-256. */
import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { JoinToken, JoinTokenWriter } from '../join-token-record.js';
import type { Queries } from './schema.js';

export class JoinTokenStatements implements JoinTokenWriter {
  readonly #db: Queries;

  constructor(db: Queries) {
    this.#db = db;
  }

  async create(token: JoinToken): Promise<void> {
    const { numInsertedOrUpdatedRows } = await this.#db
      .insertInto('join_tokens')
      .values({
        token_hash: hashOf(token.token),
        expires_at: token.expiresAt.getTime(),
        alias_id: token.aliasId ?? null,
      })
      .onConflict((conflict) => conflict.column('token_hash').doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n) {
      throw new BonafideError('already_exists', 'join token is taken; choose another or leave it out');
    }
  }

  async has(token: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('join_tokens')
      .select('token_hash')
      .where('token_hash', '=', hashOf(token))
      .executeTakeFirst();
    return row !== undefined;
  }

  async spend(token: string): Promise<JoinToken | undefined> {
    // One statement: of two that race, the row lock lets one find it.
    const row = await this.#db
      .deleteFrom('join_tokens')
      .where('token_hash', '=', hashOf(token))
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    return {
      token,
      expiresAt: new Date(row.expires_at),
      aliasId: row.alias_id === null ? undefined : (row.alias_id as SpiffeId),
    };
  }

  async deleteExpired(now: Date): Promise<number> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('join_tokens')
      .where('expires_at', '<=', now.getTime())
      .executeTakeFirst();
    return Number(numDeletedRows);
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
