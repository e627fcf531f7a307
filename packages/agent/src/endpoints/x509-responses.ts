/** Messages of the X.509-SVID profile (SPIFFE Workload API section 5) as the bytes that go out, encoded once for all who get the same. */
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { X509SVID } from '@bonafide/shared/rpc/gen/X509SVID';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { WorkloadUpdate } from '../svid-cache/workload-identities.js';

const { definition } = loadService('SpiffeWorkloadAPI');

export class X509Responses {
  readonly #log: Logger;
  /** Streams that were given the same update share its bytes; they go when the update goes. */
  readonly #svids = new WeakMap<WorkloadUpdate, Buffer>();
  readonly #bundles = new WeakMap<WorkloadUpdate, Buffer>();

  constructor({ log }: { readonly log: Logger }) {
    this.#log = log;
  }

  /** An encoded X509SVIDResponse. @throws BonafideError `unavailable` without our own trust domain's bundle. */
  svids(update: WorkloadUpdate): Buffer {
    return cached(this.#svids, update, () => {
      const { [trustDomainId(update.trustDomain)]: bundle, ...federatedBundles } = encodeBundles(update);
      if (bundle === undefined) throw bundleMissing(update.trustDomain);
      const hints = uniqueHints(update, this.#log);
      const svids = update.identities.map(({ svid }, index): X509SVID => ({
        spiffeId: svid.spiffeId,
        x509Svid: Buffer.concat(svid.certificateChain),
        x509SvidKey: exportPkcs8(svid.privateKey),
        bundle,
        hint: hints[index] ?? '',
      }));
      return definition.FetchX509SVID.responseSerialize({ svids, crl: [], federatedBundles });
    });
  }

  /** An encoded X509BundlesResponse. @throws BonafideError `unavailable` without our own trust domain's bundle. */
  bundles(update: WorkloadUpdate): Buffer {
    return cached(this.#bundles, update, () => {
      if (!update.bundles.has(update.trustDomain)) throw bundleMissing(update.trustDomain);
      return definition.FetchX509Bundles.responseSerialize({ crl: [], bundles: encodeBundles(update) });
    });
  }
}

/** By trust domain ID and in its order, so that equal content is equal bytes. */
function encodeBundles({ bundles }: WorkloadUpdate): Record<string, Buffer> {
  const sorted = [...bundles].sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(
    sorted.map(([trustDomain, { x509Authorities }]) => [
      trustDomainId(trustDomain),
      Buffer.concat(x509Authorities.map(({ certificate }) => certificate)),
    ]),
  );
}

/** Section 5.2.1: a hint is unique within a response. The first identity keeps it. */
function uniqueHints({ identities }: WorkloadUpdate, log: Logger): readonly (string | undefined)[] {
  const owners = new Map<string, string>();
  return identities.map(({ entry: { id, hint } }) => {
    if (hint === undefined) return undefined;
    const owner = owners.get(hint);
    if (owner === undefined) {
      owners.set(hint, id);
      return hint;
    }
    log.warn(
      { hint, entryId: id, keptBy: owner },
      'leaving out the hint of an identity: another one has it already',
    );
    return undefined;
  });
}

function cached(
  cache: WeakMap<WorkloadUpdate, Buffer>,
  update: WorkloadUpdate,
  encode: () => Buffer,
): Buffer {
  const present = cache.get(update);
  if (present !== undefined) return present;
  const bytes = encode();
  cache.set(update, bytes);
  return bytes;
}

function bundleMissing(trustDomain: TrustDomain): BonafideError {
  return new BonafideError('unavailable', `the bundle of ${trustDomain} has not arrived yet`);
}
