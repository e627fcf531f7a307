/** Signing authorities in SQL. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type {
  AuthorityReader,
  AuthorityRecord,
  AuthoritySlot,
  AuthorityWriter,
} from '../authority-record.js';
import type { Change } from '../change.js';
import type { AuthorityRow, Queries } from './schema.js';
import { decodeList, encodeList } from './sets.js';
import { flag } from './values.js';

export class AuthorityQueries implements AuthorityReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async list(): Promise<readonly AuthorityRecord[]> {
    const rows = await this.db
      .selectFrom('authorities')
      .selectAll()
      .orderBy('not_before')
      .orderBy('authority_id')
      .execute();
    return rows.map(authorityFromRow);
  }

  async listRevoked(): Promise<readonly string[]> {
    const rows = await this.db.selectFrom('revoked_authorities').selectAll().execute();
    return rows.map((row) => row.authority_id);
  }
}

export class AuthorityStatements extends AuthorityQueries implements AuthorityWriter {
  readonly #record: (change: Change) => void;

  constructor(db: Queries, record: (change: Change) => void) {
    super(db);
    this.#record = record;
  }

  async put(record: AuthorityRecord): Promise<void> {
    const columns = {
      server_id: record.serverId,
      kind: record.kind,
      slot: record.slot,
      key_id: record.keyId,
      ...keyColumns(record),
      not_before: record.notBefore.getTime(),
      not_after: record.notAfter.getTime(),
      is_tainted: flag(record.isTainted),
    };
    await this.db
      .insertInto('authorities')
      .values({ authority_id: record.authorityId, ...columns })
      .onConflict((conflict) => conflict.column('authority_id').doUpdateSet(columns))
      .execute();
    this.#record({ kind: 'authority', authorityId: record.authorityId });
  }

  async delete(authorityId: string): Promise<void> {
    const { numDeletedRows } = await this.db
      .deleteFrom('authorities')
      .where('authority_id', '=', authorityId)
      .executeTakeFirst();
    if (numDeletedRows === 0n) {
      throw new BonafideError('not_found', `there is no authority ${authorityId}`);
    }
    this.#record({ kind: 'authority', authorityId });
  }

  async addRevoked(authorityId: string, expiresAt: Date | undefined): Promise<void> {
    await this.db
      .insertInto('revoked_authorities')
      .values({ authority_id: authorityId, expires_at: expiresAt?.getTime() ?? null })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async pruneRevoked(now: Date): Promise<void> {
    await this.db.deleteFrom('revoked_authorities').where('expires_at', '<', now.getTime()).execute();
  }
}

type KeyColumns = Pick<AuthorityRow, 'certificate_chain' | 'upstream_authority_id' | 'public_key'>;

function keyColumns(record: AuthorityRecord): KeyColumns {
  if (record.kind !== 'x509') {
    return {
      certificate_chain: encodeList([]),
      upstream_authority_id: null,
      public_key: record.publicKey.toString('base64'),
    };
  }
  return {
    certificate_chain: encodeList(record.certificateChain.map((der) => der.toString('base64'))),
    upstream_authority_id: record.upstreamAuthorityId ?? null,
    public_key: null,
  };
}

function authorityFromRow(row: AuthorityRow): AuthorityRecord {
  const content = {
    authorityId: row.authority_id,
    serverId: row.server_id,
    slot: row.slot as AuthoritySlot,
    keyId: row.key_id,
    notBefore: new Date(row.not_before),
    notAfter: new Date(row.not_after),
    isTainted: row.is_tainted === 1,
  };
  switch (row.kind) {
    case 'x509':
      return {
        kind: row.kind,
        ...content,
        certificateChain: decodeList(row.certificate_chain).map((text) => Buffer.from(text, 'base64')),
        upstreamAuthorityId: row.upstream_authority_id ?? undefined,
      };
    case 'jwt':
    case 'wit':
      return { kind: row.kind, ...content, publicKey: Buffer.from(row.public_key ?? '', 'base64') };
    default:
      throw new BonafideError('internal', `authority ${row.authority_id} is of unknown kind ${row.kind}`);
  }
}
