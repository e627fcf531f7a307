/** Bundles of the trust domains we federate with, as SPIRE's Bundle API manages them; our own is not among them. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { checkAuthorities } from '@bonafide/shared/bundle/check-authorities';
import type { Page, PageRequest, Store, WriteTransaction } from '../store/store.js';

/** What becomes of entries that federate with a trust domain whose bundle goes. */
export type FederatedBundleDeletion =
  /** Nothing: while there are any, the bundle stays. */
  | 'restrict'
  /** They are deleted too. */
  | 'delete'
  /** They stay and federate with it no longer. */
  | 'dissociate';

const PAGE_SIZE = 500;

/** Parts of a bundle. */
export type BundleContent = Partial<Omit<TrustBundle, 'trustDomain'>>;

/** As it is after a write. */
export interface WrittenBundle {
  readonly bundle: TrustBundle;
  /** The revision in which it was committed. */
  readonly revision: number;
}

export interface FederatedBundlesOptions {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  /** What is in memory, so that agents are answered without a database too. */
  readonly held?: (trustDomain: TrustDomain) => TrustBundle | undefined;
}

export class FederatedBundles {
  readonly #store: Store;
  readonly #ownTrustDomain: TrustDomain;
  readonly #held: FederatedBundlesOptions['held'];

  constructor({ store, trustDomain, held }: FederatedBundlesOptions) {
    this.#store = store;
    this.#held = held;
    this.#ownTrustDomain = trustDomain;
  }

  /** A page may be shorter than asked for, because our own bundle is left out of it. */
  async list(page: PageRequest): Promise<Page<TrustBundle>> {
    const { items, nextPageToken } = await this.#store.bundles.list(page);
    return { items: items.filter(({ trustDomain }) => trustDomain !== this.#ownTrustDomain), nextPageToken };
  }

  /** @throws BonafideError `not_found`; `invalid_argument` for our own trust domain. */
  async get(trustDomain: TrustDomain): Promise<TrustBundle> {
    this.#refuseOwn(trustDomain, 'getting');
    const bundle = this.#held?.(trustDomain) ?? (await this.#store.bundles.get(trustDomain));
    if (bundle === undefined) throw bundleNotFound();
    return bundle;
  }

  /** @throws BonafideError `already_exists`; `invalid_argument` for our own trust domain. */
  async create(bundle: TrustBundle): Promise<WrittenBundle> {
    this.#refuseOwn(bundle.trustDomain, 'creating');
    checkAuthorities(bundle);
    return this.#store.write(async ({ bundles, revision }) => {
      if ((await bundles.get(bundle.trustDomain)) !== undefined)
        throw new BonafideError('already_exists', 'bundle already exists');
      await bundles.put(bundle);
      return { bundle, revision };
    });
  }

  /** @param content what to replace; the rest stays. @throws BonafideError `not_found`; `invalid_argument` for our own trust domain. */
  async update(trustDomain: TrustDomain, content: BundleContent): Promise<WrittenBundle> {
    this.#refuseOwn(trustDomain, 'updating');
    checkAuthorities(content);
    return this.#store.write(async ({ bundles, revision }) => {
      const before = await bundles.get(trustDomain);
      if (before === undefined) throw bundleNotFound();
      const after = { ...before, ...content };
      await bundles.put(after);
      return { bundle: after, revision };
    });
  }

  /** Creates or replaces. @throws BonafideError `invalid_argument` for our own trust domain. */
  async set(bundle: TrustBundle): Promise<WrittenBundle> {
    this.#refuseOwn(bundle.trustDomain, 'setting');
    checkAuthorities(bundle);
    return this.#store.write(async ({ bundles, revision }) => {
      await bundles.put(bundle);
      return { bundle, revision };
    });
  }

  /**
   * Creates or replaces when `isWanted` says so of the bundle that is held then; what it throws leaves that one as it is.
   * @returns whether it did. @throws BonafideError `invalid_argument` for our own trust domain.
   */
  async replace(bundle: TrustBundle, isWanted: (held: TrustBundle | undefined) => boolean): Promise<boolean> {
    this.#refuseOwn(bundle.trustDomain, 'setting');
    checkAuthorities(bundle);
    return this.#store.write(async ({ bundles }) => {
      const wanted = isWanted(await bundles.get(bundle.trustDomain));
      if (wanted) await bundles.put(bundle);
      return wanted;
    });
  }

  /**
   * @returns the revision in which it was committed.
   * @throws BonafideError `not_found`; `failed_precondition` when `restrict` holds; `invalid_argument` for our own trust domain.
   */
  async delete(trustDomain: TrustDomain, deletion: FederatedBundleDeletion): Promise<number> {
    this.#refuseOwn(trustDomain, 'removing');
    return this.#store.write(async (transaction) => {
      if ((await transaction.bundles.get(trustDomain)) === undefined) throw bundleNotFound();
      const entries = await federatedEntries(transaction, trustDomain);
      if (entries.length > 0 && deletion === 'restrict') {
        throw new BonafideError(
          'failed_precondition',
          `cannot delete bundle; federated with ${entries.length} registration entries`,
        );
      }
      for (const entry of entries) {
        if (deletion === 'delete') await transaction.entries.delete(entry.id);
        else {
          const federatesWith = entry.federatesWith.filter((other) => other !== trustDomain);
          await transaction.entries.update(entry.id, { ...entry, federatesWith });
        }
      }
      await transaction.bundles.delete(trustDomain);
      return transaction.revision;
    });
  }

  #refuseOwn(trustDomain: TrustDomain, verb: string): void {
    if (trustDomain === this.#ownTrustDomain) {
      throw invalidArgument(`${verb} a federated bundle for the server's own trust domain is not allowed`);
    }
  }
}

/** All of them before any is changed, because a change would move the pages. */
async function federatedEntries(
  transaction: WriteTransaction,
  trustDomain: TrustDomain,
): Promise<readonly RegistrationEntry[]> {
  const found: RegistrationEntry[] = [];
  let token: string | undefined;
  do {
    const filter = { federatesWith: { named: [trustDomain], match: 'any' as const } };
    const page = await transaction.entries.list(filter, { size: PAGE_SIZE, token });
    found.push(...page.items);
    token = page.nextPageToken;
  } while (token !== undefined);
  return found;
}

function bundleNotFound(): BonafideError {
  return new BonafideError('not_found', 'bundle not found');
}
