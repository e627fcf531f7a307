/** The trust anchors at the end of a certificate chain. */
import type { X509Authority } from '../bundle/trust-bundle.js';
import { parseX509Certificate, type X509Certificate } from './x509-certificate.js';

/** Those that the chain leads to: one, or several certificates of one key. */
export function anchorsOf(
  chain: readonly Buffer[],
  roots: readonly X509Authority[],
): readonly X509Authority[] {
  const last = chain.at(-1);
  if (last === undefined) return [];
  const top = parseX509Certificate(last);
  return roots.filter(({ certificate }) => isIssuer(parseX509Certificate(certificate), top));
}

/** Whether the signature is the root's too was checked when the certificate was accepted. */
function isIssuer(root: X509Certificate, certificate: X509Certificate): boolean {
  const named = certificate.authorityKeyId;
  return (
    root.subject.equals(certificate.issuer) &&
    (named === undefined || root.subjectKeyId === undefined || named === root.subjectKeyId)
  );
}
