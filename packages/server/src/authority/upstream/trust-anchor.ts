/** The names of trust anchors above us: the subject key identifier, lower-case hex. */
import { subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { X509Authority } from '@bonafide/shared/bundle/trust-bundle';

/** Old roots do without the extension; theirs is computed as RFC 5280 section 4.2.1.2 would. */
export function anchorId({ certificate }: Pick<X509Authority, 'certificate'>): string {
  return idOf(parseX509Certificate(certificate));
}

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

export function isAnchorRevoked(root: X509Authority, revoked: ReadonlySet<string>): boolean {
  return revoked.has(anchorId(root));
}

/** Whether the signature is the root's too was checked when the certificate was accepted. */
function isIssuer(root: X509Certificate, certificate: X509Certificate): boolean {
  const named = certificate.authorityKeyId;
  return (
    root.subject.equals(certificate.issuer) &&
    (named === undefined || root.subjectKeyId === undefined || named === root.subjectKeyId)
  );
}

function idOf({ subjectKeyId, subjectPublicKey }: X509Certificate): string {
  return subjectKeyId ?? subjectKeyIdentifier(subjectPublicKey.keyBits).toString('hex');
}
