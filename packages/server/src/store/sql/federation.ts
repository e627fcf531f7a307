/** Federation relationships in SQL: one row each. */
import type {
  BundleEndpointProfile,
  BundleEndpointUrl,
  FederationRelationship,
} from '@bonafide/shared/bundle/federation-relationship';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Change } from '../change.js';
import type { FederationReader, FederationWriter } from '../federation-record.js';
import type { Page, PageRequest } from '../store.js';
import { readPage } from './read-pages.js';
import type { FederationRelationshipRow, Queries } from './schema.js';

export class FederationQueries implements FederationReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(trustDomain: TrustDomain): Promise<FederationRelationship | undefined> {
    const row = await this.db
      .selectFrom('federation_relationships')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    return row === undefined ? undefined : relationshipFromRow(row);
  }

  list(page: PageRequest): Promise<Page<FederationRelationship>> {
    return readPage(
      page,
      (relationship: FederationRelationship) => relationship.trustDomain,
      async (after, limit) => {
        let query = this.db
          .selectFrom('federation_relationships')
          .selectAll()
          .orderBy('trust_domain')
          .limit(limit);
        if (after !== undefined) query = query.where('trust_domain', '>', after);
        return (await query.execute()).map(relationshipFromRow);
      },
    );
  }
}

export class FederationStatements extends FederationQueries implements FederationWriter {
  readonly #record: (change: Change) => void;

  constructor(db: Queries, record: (change: Change) => void) {
    super(db);
    this.#record = record;
  }

  async put({ trustDomain, endpoint }: FederationRelationship): Promise<void> {
    const { url, profile } = endpoint;
    const columns = {
      bundle_endpoint_url: url,
      bundle_endpoint_profile: profile.kind,
      endpoint_spiffe_id: profile.kind === 'https_spiffe' ? profile.endpointId : null,
    };
    await this.db
      .insertInto('federation_relationships')
      .values({ trust_domain: trustDomain, ...columns })
      .onConflict((conflict) => conflict.column('trust_domain').doUpdateSet(columns))
      .execute();
    this.#record({ kind: 'federation', trustDomain });
  }

  async delete(trustDomain: TrustDomain): Promise<void> {
    const { numDeletedRows } = await this.db
      .deleteFrom('federation_relationships')
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    if (numDeletedRows === 0n) {
      throw new BonafideError('not_found', `there is no federation relationship with ${trustDomain}`);
    }
    this.#record({ kind: 'federation', trustDomain });
  }
}

function relationshipFromRow(row: FederationRelationshipRow): FederationRelationship {
  return {
    trustDomain: row.trust_domain as TrustDomain,
    endpoint: { url: row.bundle_endpoint_url as BundleEndpointUrl, profile: profileFromRow(row) },
  };
}

function profileFromRow(row: FederationRelationshipRow): BundleEndpointProfile {
  const { bundle_endpoint_profile: kind, endpoint_spiffe_id: endpointId } = row;
  if (kind === 'https_web') return { kind };
  if (kind === 'https_spiffe' && endpointId !== null) return { kind, endpointId: endpointId as SpiffeId };
  // One that a newer release wrote: falling back to another way to authenticate would be a downgrade.
  throw new BonafideError(
    'internal',
    `the federation relationship with ${row.trust_domain} has a profile that is not known`,
  );
}
