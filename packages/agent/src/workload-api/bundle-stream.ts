/** Streams of bundles, alike in all profiles: those of the caller's entries, whether or not it has an SVID yet (section 5.2.2). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type {
  WorkloadBundles,
  WorkloadEntries,
  WorkloadIdentities,
} from '../svid-cache/workload-identities.js';
import { EncodedOnce } from './encoded-once.js';
import type { StreamProfile } from './workload-calls.js';

interface BundleStreamOptions {
  readonly identities: Pick<WorkloadIdentities, 'follow'>;
  /** Whether whoever has no identity is given our own bundle; looked at each time that there is one to give. */
  readonly policy: { readonly allowsUnauthenticatedVerifiers: boolean };
}

/** @param encode is given bundles of which our own is one. */
export function createBundleStream(
  { identities, policy }: BundleStreamOptions,
  encode: (bundles: WorkloadBundles) => Buffer,
): StreamProfile<object, WorkloadEntries> {
  const encoded = new EncodedOnce<WorkloadEntries>(encode);
  return {
    follow: (_request, { selectors }, feed) =>
      identities.follow(selectors, (update) => {
        feed.push(update);
      }),
    encode: (update, caller) => {
      if (update.entries.length === 0 && !policy.allowsUnauthenticatedVerifiers) throw caller.noIdentity();
      requireOwnBundle(update);
      return encoded.bytes(update);
    },
  };
}

/** @throws BonafideError `unavailable` without our own trust domain's bundle. */
export function requireOwnBundle({ bundles, trustDomain }: WorkloadBundles): void {
  if (!bundles.has(trustDomain)) {
    throw new BonafideError('unavailable', `the bundle of ${trustDomain} has not arrived yet`);
  }
}
