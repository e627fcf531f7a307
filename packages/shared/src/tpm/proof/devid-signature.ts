/** How a DevID key proves that it is here: it signs by SHA-256 as it would sign a certificate, PKCS#1 v1.5 or ECDSA in DER (SPIRE's tpm_devid). */
import { constants, verify, type KeyObject } from 'node:crypto';
import { derSequence, derUnsignedInteger } from '../../crypto/der/der-writer.js';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { TPM_ALG } from '../algorithm.js';
import type { TpmPublic } from '../tpm-public.js';
import { parseTpmSignature } from '../tpm-signature.js';

/** @throws BonafideError `invalid_argument` for a key that signs in another way, or that the TPM lets choose. */
export function checkDevIdScheme({ type, scheme }: TpmPublic): void {
  const expected = type === 'rsa' ? TPM_ALG.rsassa : TPM_ALG.ecdsa;
  if (scheme?.algorithm !== expected || scheme.hash !== 'sha256')
    throw invalidArgument(
      `the DevID key must be bound to ${type === 'rsa' ? 'RSASSA' : 'ECDSA'} with SHA-256, and is not`,
    );
}

/** @param raw TPMT_SIGNATURE. @throws BonafideError `invalid_argument`. */
export function devIdSignature(raw: Buffer): Buffer {
  const signature = parseTpmSignature(raw);
  return signature.kind === 'ecdsa'
    ? derSequence(derUnsignedInteger(signature.r), derUnsignedInteger(signature.s))
    : signature.signature;
}

export function isDevIdSignature(key: KeyObject, data: Buffer, signature: Buffer): boolean {
  const { asymmetricKeyType: type } = key;
  if (type === 'rsa') return verify('sha256', data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
  return type === 'ec' && verify('sha256', data, { key, dsaEncoding: 'der' }, signature);
}
