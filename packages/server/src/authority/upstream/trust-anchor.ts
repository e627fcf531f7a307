/** The names of trust anchors above us: the subject key identifier, lower-case hex. */
import { subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { X509Authority } from '@bonafide/shared/bundle/trust-bundle';

/** Old roots do without the extension; theirs is computed as RFC 5280 section 4.2.1.2 would. */
export function anchorId({ certificate }: Pick<X509Authority, 'certificate'>): string {
  return idOf(parseX509Certificate(certificate));
}

export function isAnchorRevoked(root: X509Authority, revoked: ReadonlySet<string>): boolean {
  return revoked.has(anchorId(root));
}

function idOf({ subjectKeyId, subjectPublicKey }: X509Certificate): string {
  return subjectKeyId ?? subjectKeyIdentifier(subjectPublicKey.keyBits).toString('hex');
}
