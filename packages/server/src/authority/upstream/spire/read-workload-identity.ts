/** Who this server is to its parent: its X.509-SVID and the parent's authorities, from the Workload API (SPIFFE Workload API section 5). */
import { createPublicKey } from 'node:crypto';
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { X509SVID__Output } from '@bonafide/shared/rpc/gen/X509SVID';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import type { ClientIdentity } from '@bonafide/shared/rpc/mutual-tls-channel';
import { trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export interface WorkloadIdentity extends ClientIdentity {
  readonly spiffeId: SpiffeId;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** CA certificates of the trust domain, DER. */
  readonly authorities: readonly Buffer[];
}

/**
 * The first SVID of the trust domain: a parent of another one could not be.
 * @throws BonafideError `failed_precondition` when there is none; `unavailable` for an answer that is malformed.
 */
export function readWorkloadIdentity(
  response: X509SVIDResponse__Output,
  trustDomain: TrustDomain,
): WorkloadIdentity {
  let identities;
  try {
    identities = response.svids.map(readSvid);
  } catch (error) {
    const message = `the Workload API's answer cannot be used: ${errorMessage(error)}`;
    throw new BonafideError('unavailable', message, { cause: error });
  }
  const own = identities.find(({ spiffeId }) => trustDomainOf(spiffeId) === trustDomain);
  if (own !== undefined) return own;
  const others = identities.map(({ spiffeId }) => spiffeId).join(', ');
  throw new BonafideError(
    'failed_precondition',
    `the Workload API gives no X.509-SVID of trust domain ${trustDomain}, only ${others === '' ? 'none' : others}`,
  );
}

function readSvid(message: X509SVID__Output): WorkloadIdentity {
  const certificateChain = splitCertificates(message.x509Svid, 'x509_svid');
  const [leafDer = Buffer.alloc(0)] = certificateChain;
  const { spiffeId, leaf } = parseX509SvidLeaf(leafDer);
  const privateKey = importPkcs8(message.x509SvidKey);
  if (!createPublicKey(privateKey).equals(leaf.publicKey)) {
    throw invalidArgument('x509_svid_key does not belong to the certificate');
  }
  const authorities = splitCertificates(message.bundle, 'bundle');
  for (const authority of authorities) parseX509Certificate(authority);
  const { notBefore, notAfter } = leaf;
  return { spiffeId, certificateChain, privateKey, notBefore, notAfter, authorities };
}
