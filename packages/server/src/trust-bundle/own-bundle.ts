/** The bundle of our own trust domain: what every agent and workload verifies our SVIDs with. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Store, WriteTransaction } from '../store/store.js';
import { checkAuthorities } from '@bonafide/shared/bundle/check-authorities';
import { appendToBundle, emptyBundle, type BundleAdditions } from './merge-bundle.js';

/** More would make every agent's update too large to send. */
export const MAX_X509_AUTHORITIES = 256;

export class OwnBundle {
  readonly #store: Store;
  readonly #trustDomain: TrustDomain;

  constructor({ store, trustDomain }: { readonly store: Store; readonly trustDomain: TrustDomain }) {
    this.#store = store;
    this.#trustDomain = trustDomain;
  }

  /** @throws BonafideError `not_found` before the first authority is published. */
  async get(): Promise<TrustBundle> {
    const bundle = await this.#store.bundles.get(this.#trustDomain);
    if (bundle === undefined) throw new BonafideError('not_found', 'bundle not found');
    return bundle;
  }

  /**
   * For authorities that are not ours to rotate, such as those of a sister server.
   * @returns the bundle as it is afterwards, and the revision of the commit; undefined when there was nothing new to commit.
   */
  async append(
    additions: BundleAdditions,
  ): Promise<{ readonly bundle: TrustBundle; readonly revision: number | undefined }> {
    const { x509Authorities = [], jwtAuthorities = [], witAuthorities = [] } = additions;
    if (x509Authorities.length + jwtAuthorities.length + witAuthorities.length === 0) {
      throw invalidArgument('no authorities to append');
    }
    checkAuthorities(additions);
    const present = await this.#store.bundles.get(this.#trustDomain);
    // Saying again what is known takes no revision and wakes nobody.
    if (present !== undefined && appendToBundle(present, additions) === present)
      return { bundle: present, revision: undefined };
    return this.#store.write(async (transaction) => ({
      bundle: await editOwnBundle(transaction, this.#trustDomain, (bundle) => {
        const appended = appendToBundle(bundle, additions);
        if (appended.x509Authorities.length > MAX_X509_AUTHORITIES) {
          const message = `the trust bundle would have more than ${MAX_X509_AUTHORITIES} X.509 authorities`;
          throw new BonafideError('resource_exhausted', message);
        }
        return appended;
      }),
      revision: transaction.revision,
    }));
  }
}

/** Stores what `edit` makes of the bundle, unless it returns it as it was. */
export async function editOwnBundle(
  transaction: WriteTransaction,
  trustDomain: TrustDomain,
  edit: (bundle: TrustBundle) => TrustBundle,
): Promise<TrustBundle> {
  const before = (await transaction.bundles.get(trustDomain)) ?? emptyBundle(trustDomain);
  const after = edit(before);
  if (after !== before) await transaction.bundles.put(after);
  return after;
}
