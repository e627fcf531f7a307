/** Messages of the Delegated Identity API as the bytes that go out. */
import { formatJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { x509SvidToProto } from '@bonafide/shared/rpc/codec/x509-svid';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WorkloadBundles, WorkloadUpdate } from '../svid-cache/workload-identities.js';
import { bundleTexts } from '../workload-api/token-requests.js';

const { definition } = loadService('spire.api.agent.delegatedidentity.v1.DelegatedIdentity');

export function encodeSvids({ bundles, identities, trustDomain }: WorkloadUpdate): Buffer {
  return definition.SubscribeToX509SVIDs.responseSerialize({
    x509Svids: identities.map(({ entry, svid }) => ({
      x509Svid: x509SvidToProto({ ...svid, hint: entry.hint }),
      x509SvidKey: exportPkcs8(svid.privateKey),
    })),
    federatesWith: [...bundles.keys()]
      .filter((name) => name !== trustDomain)
      .map(trustDomainId)
      .sort(),
  });
}

export function encodeX509Bundles(update: WorkloadBundles): Buffer {
  return definition.SubscribeToX509Bundles.responseSerialize({
    caCertificates: bundleTexts(update, ({ x509Authorities }) =>
      Buffer.concat(x509Authorities.map(({ certificate }) => certificate)),
    ),
  });
}

export function encodeJwtBundles(update: WorkloadBundles): Buffer {
  return definition.SubscribeToJWTBundles.responseSerialize({
    bundles: bundleTexts(update, ({ jwtAuthorities }) => Buffer.from(formatJwkSet(jwtAuthorities))),
  });
}
