/** The X.509 half of a trust bundle as PEM: what `bundle show` prints and an agent is bootstrapped with. */
import { decodePem, encodePem } from '../crypto/pem.js';
import { importSubjectPublicKeySync } from '../crypto/subject-public-key.js';
import { parseX509Certificate } from '../crypto/x509-certificate.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import type { TrustBundle, X509Authority } from './trust-bundle.js';

/** @throws BonafideError `invalid_argument` when there is no certificate, or one is malformed. */
export function parseBundlePem(trustDomain: TrustDomain, text: string): TrustBundle {
  const authorities = decodePem('CERTIFICATE', text).map((certificate): X509Authority => {
    importSubjectPublicKeySync(parseX509Certificate(certificate).subjectPublicKey);
    return { certificate, isTainted: false };
  });
  return {
    trustDomain,
    x509Authorities: withoutRepeats(authorities),
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: 0,
  };
}

export function formatBundlePem(bundle: TrustBundle): string {
  return bundle.x509Authorities.map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join('');
}

/** The first of each certificate, in the order given. */
export function withoutRepeats(authorities: readonly X509Authority[]): readonly X509Authority[] {
  const byCertificate = new Map<string, X509Authority>();
  for (const authority of authorities) {
    const key = authority.certificate.toString('base64');
    if (!byCertificate.has(key)) byCertificate.set(key, authority);
  }
  return [...byCertificate.values()];
}
