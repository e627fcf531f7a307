/** Federation relationships (SPIFFE Federation section 6): those of the configuration file, and beside them those made through the API. */
import type { BundleEndpoint, FederationRelationship } from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Page, PageRequest, Store, WriteTransaction } from '../store/store.js';
import { checkAuthorities } from '@bonafide/shared/bundle/check-authorities';

/** A relationship with the bundle that is held of its trust domain. */
export interface HeldRelationship {
  readonly relationship: FederationRelationship;
  readonly bundle: TrustBundle | undefined;
}

export interface WrittenRelationship extends HeldRelationship {
  readonly revision: number;
}

export interface RelationshipsOptions {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  /** Those of the configuration file. They win over one with the same trust domain that was made through the API. */
  readonly configured: readonly FederationRelationship[];
}

export class FederationRelationships {
  readonly #options: RelationshipsOptions;
  #configured: readonly FederationRelationship[];

  constructor(options: RelationshipsOptions) {
    this.#options = options;
    this.#configured = options.configured;
  }

  /** The configuration file says something else now; a refresh that is to follow has to be told. */
  configure(relationships: readonly FederationRelationship[]): void {
    this.#configured = relationships;
  }

  /** What is in force: one for each trust domain. */
  async inForce(): Promise<ReadonlyMap<TrustDomain, FederationRelationship>> {
    const { items } = await this.#options.store.federation.list({ size: 0, token: undefined });
    return new Map([...items, ...this.#configured].map((item) => [item.trustDomain, item] as const));
  }

  /** Those made through the API. */
  async list(page: PageRequest): Promise<Page<HeldRelationship>> {
    const { bundles, federation } = this.#options.store;
    const { items, nextPageToken } = await federation.list(page);
    const held: HeldRelationship[] = [];
    for (const relationship of items) {
      held.push({ relationship, bundle: await bundles.get(relationship.trustDomain) });
    }
    return { items: held, nextPageToken };
  }

  /** One made through the API. @throws BonafideError `not_found`. */
  async get(trustDomain: TrustDomain): Promise<HeldRelationship> {
    const { bundles, federation } = this.#options.store;
    const relationship = await federation.get(trustDomain);
    if (relationship === undefined) {
      throw new BonafideError('not_found', 'federation relationship does not exist');
    }
    return { relationship, bundle: await bundles.get(trustDomain) };
  }

  /**
   * @param bundle replaces the one that is held, if any; undefined leaves it.
   * @throws BonafideError `already_exists`; `invalid_argument` for our own trust domain or a malformed bundle.
   */
  async create(
    relationship: FederationRelationship,
    bundle: TrustBundle | undefined,
  ): Promise<WrittenRelationship> {
    this.#refuseOwn(relationship.trustDomain, 'create');
    if (bundle !== undefined) checkAuthorities(bundle);
    return this.#options.store.write(async (transaction) => {
      if ((await transaction.federation.get(relationship.trustDomain)) !== undefined) {
        throw new BonafideError(
          'already_exists',
          `there is one with ${relationship.trustDomain} already; update it`,
        );
      }
      return put(transaction, relationship, bundle);
    });
  }

  /**
   * @param changes what to replace; the rest stays.
   * @throws BonafideError `not_found`; `invalid_argument` for our own trust domain or a malformed bundle.
   */
  async update(
    trustDomain: TrustDomain,
    changes: Partial<BundleEndpoint>,
    bundle: TrustBundle | undefined,
  ): Promise<WrittenRelationship> {
    this.#refuseOwn(trustDomain, 'update');
    if (bundle !== undefined) checkAuthorities(bundle);
    return this.#options.store.write(async (transaction) => {
      const before = await transaction.federation.get(trustDomain);
      if (before === undefined) {
        throw new BonafideError(
          'not_found',
          `there is no federation relationship with ${trustDomain}; create it`,
        );
      }
      const after = { trustDomain, endpoint: { ...before.endpoint, ...changes } };
      return put(transaction, after, bundle);
    });
  }

  /** The bundle stays, and with it the trust; it has a deletion of its own. @returns the revision. @throws BonafideError `not_found`. */
  async delete(trustDomain: TrustDomain): Promise<number> {
    const { store } = this.#options;
    if ((await store.federation.get(trustDomain)) === undefined) throw relationshipNotFound();
    return store.write(async ({ federation, revision }) => {
      if ((await federation.get(trustDomain)) === undefined) throw relationshipNotFound();
      await federation.delete(trustDomain);
      return revision;
    });
  }

  #refuseOwn(trustDomain: TrustDomain, verb: 'create' | 'update'): void {
    if (trustDomain === this.#options.trustDomain) {
      throw invalidArgument(`unable to ${verb} federation relationship for server trust domain`);
    }
  }
}

async function put(
  { bundles, federation, revision }: WriteTransaction,
  relationship: FederationRelationship,
  bundle: TrustBundle | undefined,
): Promise<WrittenRelationship> {
  if (bundle !== undefined) await bundles.put(bundle);
  await federation.put(relationship);
  return { relationship, bundle: bundle ?? (await bundles.get(relationship.trustDomain)), revision };
}

function relationshipNotFound(): BonafideError {
  return new BonafideError('not_found', 'federation relationship not found');
}
