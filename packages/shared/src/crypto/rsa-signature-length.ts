import type { KeyObject } from 'node:crypto';

/**
 * Whether a signature is as long as the modulus of its RSA key (RFC 8017 sections 8.1.2 and 8.2.2, step 1). OpenSSL does
 * not ask for RSA-PSS: one that begins with zero would pass without that byte too, two signatures where there was one.
 */
export function hasRsaSignatureLength(publicKey: KeyObject, signature: Uint8Array): boolean {
  return signature.length === Math.ceil((publicKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
}
