/** Trust bundles in SQL: one row each, the keys inside as JSON because nothing ever looks for a single one. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { BundleReader, BundleWriter } from '../bundle-record.js';
import type { Change } from '../change.js';
import type { Page, PageRequest } from '../store.js';
import { readPage } from './read-pages.js';
import type { BundleRow, Queries } from './schema.js';

export class BundleQueries implements BundleReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(trustDomain: TrustDomain): Promise<TrustBundle | undefined> {
    const row = await this.db
      .selectFrom('bundles')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    return row === undefined ? undefined : bundleFromRow(row);
  }

  list(page: PageRequest): Promise<Page<TrustBundle>> {
    return readPage(
      page,
      (bundle: TrustBundle) => bundle.trustDomain,
      async (after, limit) => {
        let query = this.db.selectFrom('bundles').selectAll().orderBy('trust_domain').limit(limit);
        if (after !== undefined) query = query.where('trust_domain', '>', after);
        return (await query.execute()).map(bundleFromRow);
      },
    );
  }

  async count(): Promise<number> {
    const { total } = await this.db
      .selectFrom('bundles')
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow();
    return total;
  }
}

export class BundleStatements extends BundleQueries implements BundleWriter {
  readonly #record: (change: Change) => void;

  constructor(db: Queries, record: (change: Change) => void) {
    super(db);
    this.#record = record;
  }

  async put(bundle: TrustBundle): Promise<void> {
    const content = encodeBundle(bundle);
    await this.db
      .insertInto('bundles')
      .values({ trust_domain: bundle.trustDomain, content })
      .onConflict((conflict) => conflict.column('trust_domain').doUpdateSet({ content }))
      .execute();
    this.#record({ kind: 'bundle', trustDomain: bundle.trustDomain });
  }

  async delete(trustDomain: TrustDomain): Promise<void> {
    // Looked up before: the foreign key would refuse as well, but a statement that fails ends a transaction of PostgreSQL.
    const named = await this.db
      .selectFrom('entry_federation')
      .select('entry_id')
      .where('trust_domain', '=', trustDomain)
      .limit(1)
      .executeTakeFirst();
    if (named !== undefined) {
      throw new BonafideError(
        'failed_precondition',
        `the bundle of ${trustDomain} is named by entries; dissociate or delete those first`,
      );
    }
    const { numDeletedRows } = await this.db
      .deleteFrom('bundles')
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    if (numDeletedRows === 0n) throw new BonafideError('not_found', `there is no bundle of ${trustDomain}`);
    this.#record({ kind: 'bundle', trustDomain });
  }
}

interface StoredTokenAuthority {
  readonly publicKey: string;
  readonly keyId: string;
  readonly expiresAt?: number;
  readonly isTainted: boolean;
}

interface StoredBundle {
  readonly x509Authorities: readonly { readonly certificate: string; readonly isTainted: boolean }[];
  readonly jwtAuthorities: readonly StoredTokenAuthority[];
  readonly witAuthorities: readonly StoredTokenAuthority[];
  readonly refreshHintSeconds?: number;
  readonly sequenceNumber: number;
}

function encodeBundle(bundle: TrustBundle): string {
  const stored: StoredBundle = {
    x509Authorities: bundle.x509Authorities.map(({ certificate, isTainted }) => ({
      certificate: certificate.toString('base64'),
      isTainted,
    })),
    jwtAuthorities: bundle.jwtAuthorities.map(encodeTokenAuthority),
    witAuthorities: bundle.witAuthorities.map(encodeTokenAuthority),
    ...(bundle.refreshHintSeconds === undefined ? {} : { refreshHintSeconds: bundle.refreshHintSeconds }),
    sequenceNumber: bundle.sequenceNumber,
  };
  return JSON.stringify(stored);
}

function bundleFromRow(row: BundleRow): TrustBundle {
  const stored = JSON.parse(row.content) as StoredBundle;
  return {
    trustDomain: row.trust_domain as TrustDomain,
    x509Authorities: stored.x509Authorities.map(({ certificate, isTainted }) => ({
      certificate: Buffer.from(certificate, 'base64'),
      isTainted,
    })),
    jwtAuthorities: stored.jwtAuthorities.map(decodeTokenAuthority),
    witAuthorities: stored.witAuthorities.map(decodeTokenAuthority),
    refreshHintSeconds: stored.refreshHintSeconds,
    sequenceNumber: stored.sequenceNumber,
  };
}

function encodeTokenAuthority(authority: TokenAuthority): StoredTokenAuthority {
  return {
    publicKey: authority.publicKey.toString('base64'),
    keyId: authority.keyId,
    ...(authority.expiresAt === undefined ? {} : { expiresAt: authority.expiresAt.getTime() }),
    isTainted: authority.isTainted,
  };
}

function decodeTokenAuthority(stored: StoredTokenAuthority): TokenAuthority {
  return {
    publicKey: Buffer.from(stored.publicKey, 'base64'),
    keyId: stored.keyId,
    expiresAt: stored.expiresAt === undefined ? undefined : new Date(stored.expiresAt),
    isTainted: stored.isTainted,
  };
}
