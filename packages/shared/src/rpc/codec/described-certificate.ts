/** Certificates as the Debug services of server and agent tell of them. */
import type { X509Authority } from '../../bundle/trust-bundle.js';
import { anchorsOf } from '../../crypto/anchors-of.js';
import { formatDistinguishedName } from '../../crypto/der/distinguished-name.js';
import { parseX509Certificate } from '../../crypto/x509-certificate.js';
import { unixSeconds } from '../../runtime/clock.js';
import type { SPIFFEID } from '../gen/spire/api/types/SPIFFEID.js';
import { spiffeIdToProto } from './spiffe-id.js';

interface DescribedCertificate {
  id: SPIFFEID | null;
  expiresAt: number;
  subject: string;
}

/** @returns one for each, and at the end that of the authority to which they lead, as in SPIRE. */
export function describeChain(
  chain: readonly Buffer[],
  authorities: readonly X509Authority[],
): DescribedCertificate[] {
  const [anchor] = anchorsOf(chain, authorities);
  return [...chain, ...(anchor === undefined ? [] : [anchor.certificate])].map(describeCertificate);
}

function describeCertificate(der: Buffer): DescribedCertificate {
  const { spiffeId, notAfter, subject } = parseX509Certificate(der);
  return {
    id: spiffeId === undefined ? null : spiffeIdToProto(spiffeId),
    expiresAt: unixSeconds(notAfter),
    subject: formatDistinguishedName(subject),
  };
}
