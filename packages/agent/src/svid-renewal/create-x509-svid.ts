/** Makes an X.509-SVID out of a certificate chain that came from elsewhere and the key that it must certify. */
import type { KeyObject } from 'node:crypto';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

/**
 * @param keyBytes bytes of our own making in which the public key of `privateKey` is found: its SubjectPublicKeyInfo, or the CSR it
 * was sent in, which spares another export of the key.
 * @param dnsNames that it must have, in any order; whatever it has unless told.
 * @throws BonafideError `unavailable` when it has other DNS names; `invalid_argument` when the chain is empty or malformed, names no SPIFFE ID or is for another key.
 */
export function createX509Svid(
  certificateChain: readonly Buffer[],
  privateKey: KeyObject,
  keyBytes: Buffer,
  dnsNames?: readonly string[],
): X509Svid {
  const [leafDer] = certificateChain;
  if (leafDer === undefined) throw invalidArgument('the certificate chain is empty');
  const leaf = parseX509Certificate(leafDer);
  const { spiffeId, notBefore, notAfter, subjectPublicKey } = leaf;
  if (spiffeId === undefined) throw invalidArgument('the certificate has no SPIFFE ID as its one URI name');
  if (!keyBytes.includes(subjectPublicKey.spki)) {
    throw invalidArgument(`the certificate of ${spiffeId} is for another key than the one that was made`);
  }
  if (dnsNames !== undefined && [...leaf.dnsNames].sort().join() !== [...dnsNames].sort().join()) {
    // It would be taken for the SVID of the entry as it is now, and never be replaced.
    throw new BonafideError(
      'unavailable',
      'the server signed for the entry as it was before a change, or will be',
    );
  }
  return { spiffeId, certificateChain, privateKey, notBefore, notAfter, hint: undefined };
}
