/** The bundles that the server has told: our own, and those of the trust domains that our entries federate with. */
import { isDeepStrictEqual } from 'node:util';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AuthorizedChange } from './authorized-change.js';

export class CachedBundles {
  readonly #bundles = new Map<TrustDomain, TrustBundle>();

  get byTrustDomain(): ReadonlyMap<TrustDomain, TrustBundle> {
    return this.#bundles;
  }

  /** @returns whether anything about them has changed. */
  apply(change: AuthorizedChange): boolean {
    const isWhole = change.kind === 'snapshot';
    const present = isWhole ? change.bundles : change.upsertedBundles;
    const names = new Set(present.map(({ trustDomain }) => trustDomain));
    const gone = isWhole
      ? [...this.#bundles.keys()].filter((name) => !names.has(name))
      : change.removedBundleTrustDomains;
    let hasChanged = false;
    for (const name of gone) hasChanged = this.#bundles.delete(name) || hasChanged;
    for (const bundle of present) {
      if (isDeepStrictEqual(this.#bundles.get(bundle.trustDomain), bundle)) continue;
      this.#bundles.set(bundle.trustDomain, bundle);
      hasChanged = true;
    }
    return hasChanged;
  }
}
