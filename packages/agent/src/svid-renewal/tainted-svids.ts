/** Which SVIDs stand under authorities that may have been stolen, and are therefore to be replaced at once. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

/** Subject key identifiers of the authorities that `after` calls tainted and `before` did not, in hex. */
export function newlyTainted(
  before: TrustBundle | undefined,
  after: TrustBundle | undefined,
): ReadonlySet<string> {
  const known = taintedKeyIds(before);
  return new Set([...taintedKeyIds(after)].filter((keyId) => !known.has(keyId)));
}

/** Whether the last certificate of the chain is signed by one of the authorities. */
export function isSignedBy(svid: X509Svid, subjectKeyIds: ReadonlySet<string>): boolean {
  const last = svid.certificateChain.at(-1);
  if (last === undefined) return false;
  const { authorityKeyId } = parseX509Certificate(last);
  return authorityKeyId !== undefined && subjectKeyIds.has(authorityKeyId);
}

function taintedKeyIds(bundle: TrustBundle | undefined): ReadonlySet<string> {
  const keyIds = new Set<string>();
  for (const { certificate, isTainted } of bundle?.x509Authorities ?? []) {
    const { subjectKeyId } = isTainted ? parseX509Certificate(certificate) : {};
    if (subjectKeyId !== undefined) keyIds.add(subjectKeyId);
  }
  return keyIds;
}
