/** The name of a TPM: the SHA-256 of its endorsement key's SubjectPublicKeyInfo in DER, lower-case hex. */
import { createHash, KeyObject } from 'node:crypto';

/** @param ek the key, or its SubjectPublicKeyInfo as Node's `export` writes it. */
export function ekHash(ek: KeyObject | Buffer): string {
  const spki = ek instanceof KeyObject ? ek.export({ type: 'spki', format: 'der' }) : ek;
  return createHash('sha256').update(spki).digest('hex');
}
