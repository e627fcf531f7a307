/** The names of trust anchors above us: the subject key identifier, lower-case hex. */
import { subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** Old roots do without the extension; theirs is computed as RFC 5280 section 4.2.1.2 would. */
export function anchorId({ certificate }: Pick<X509Authority, 'certificate'>): string {
  return idOf(parseX509Certificate(certificate));
}

/**
 * Of the anchor that the chain leads to.
 * @throws BonafideError `failed_precondition` when it leads to none of `roots`.
 */
export function anchorIdOf(chain: readonly Buffer[], roots: readonly X509Authority[]): string {
  const last = chain.at(-1);
  const top = last === undefined ? undefined : parseX509Certificate(last);
  const anchor = roots
    .map(({ certificate }) => parseX509Certificate(certificate))
    .find((root) => top !== undefined && isIssuer(root, top));
  if (anchor !== undefined) return idOf(anchor);
  throw new BonafideError(
    'failed_precondition',
    'the upstream authority signed a certificate that leads to none of its own roots',
  );
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
