/** Messages of the X.509-SVID profile (SPIFFE Workload API section 5) as the bytes that go out, encoded once for all who get the same. */
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { X509SVID } from '@bonafide/shared/rpc/gen/X509SVID';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { WorkloadBundles, WorkloadUpdate } from '../svid-cache/workload-identities.js';
import { requireOwnBundle } from './bundle-stream.js';
import { EncodedOnce } from './encoded-once.js';
import { bundleTexts } from './token-requests.js';
import { uniqueHints } from './unique-hints.js';

const { definition } = loadService('SpiffeWorkloadAPI');

export class X509Responses {
  readonly #svids: EncodedOnce<WorkloadUpdate>;

  constructor({ log }: { readonly log: Logger }) {
    this.#svids = new EncodedOnce((update) => encodeSvids(update, log));
  }

  /** An encoded X509SVIDResponse. @throws BonafideError `unavailable` without our own trust domain's bundle. */
  svids(update: WorkloadUpdate): Buffer {
    return this.#svids.bytes(update);
  }

  /** An encoded X509BundlesResponse. @throws BonafideError `unavailable` without our own trust domain's bundle. */
  bundles(update: WorkloadBundles): Buffer {
    requireOwnBundle(update);
    return definition.FetchX509Bundles.responseSerialize({ crl: [], bundles: encodeBundles(update) });
  }
}

function encodeSvids(update: WorkloadUpdate, log: Logger): Buffer {
  requireOwnBundle(update);
  const { [trustDomainId(update.trustDomain)]: bundle, ...federatedBundles } = encodeBundles(update);
  const hints = uniqueHints(
    update.identities.map(({ entry }) => entry),
    log,
  );
  const svids = update.identities.map(({ svid }, index): X509SVID => ({
    spiffeId: svid.spiffeId,
    x509Svid: Buffer.concat(svid.certificateChain),
    x509SvidKey: exportPkcs8(svid.privateKey),
    bundle: bundle ?? Buffer.alloc(0),
    hint: hints[index] ?? '',
  }));
  return definition.FetchX509SVID.responseSerialize({ svids, crl: [], federatedBundles });
}

function encodeBundles(update: WorkloadBundles): Record<string, Buffer> {
  return bundleTexts(update, ({ x509Authorities }) =>
    Buffer.concat(x509Authorities.map(({ certificate }) => certificate)),
  );
}
