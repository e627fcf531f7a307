/** A signature as a TPM writes it: TPMT_SIGNATURE (TPM 2.0 Part 2 section 11.3.4). */
import { constants, verify, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto';
import { hasRsaSignatureLength } from '../crypto/rsa-signature-length.js';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { TPM_ALG, hashOf, type TpmHash } from './algorithm.js';
import { leftPadded, publicKeyOf, type TpmPublic } from './tpm-public.js';
import { TpmReader } from './tpm-reader.js';

export type TpmSignature =
  | { readonly kind: 'rsassa' | 'rsapss'; readonly hash: TpmHash; readonly signature: Buffer }
  | { readonly kind: 'ecdsa'; readonly hash: TpmHash; readonly r: Buffer; readonly s: Buffer };

const SUBJECT = 'TPM signature';
export const LARGEST_SIGNATURE_BYTES = 1024;
const LONGEST_RSA_BYTES = 512;
const LONGEST_ECC_BYTES = 48;
const KINDS = [
  { algorithm: TPM_ALG.rsassa, kind: 'rsassa' },
  { algorithm: TPM_ALG.rsapss, kind: 'rsapss' },
  { algorithm: TPM_ALG.ecdsa, kind: 'ecdsa' },
] as const;

/** @throws BonafideError `invalid_argument`. */
export function parseTpmSignature(raw: Buffer): TpmSignature {
  if (raw.length > LARGEST_SIGNATURE_BYTES)
    throw invalidArgument(`${SUBJECT}: more than ${LARGEST_SIGNATURE_BYTES} bytes`);
  const reader = new TpmReader(raw, SUBJECT);
  const algorithm = reader.readUint16('scheme');
  const kind = KINDS.find((known) => known.algorithm === algorithm)?.kind;
  if (kind === undefined) throw reader.malformed('scheme', 'is not RSASSA, RSAPSS or ECDSA');
  const hash = hashOf(reader.readUint16('hash'));
  if (hash === undefined) throw reader.malformed('hash', 'is not SHA-1 or SHA-2');
  const signature: TpmSignature =
    kind === 'ecdsa'
      ? {
          kind,
          hash,
          r: reader.readSized(LONGEST_ECC_BYTES, 'r'),
          s: reader.readSized(LONGEST_ECC_BYTES, 's'),
        }
      : { kind, hash, signature: reader.readSized(LONGEST_RSA_BYTES, 'signature') };
  reader.expectEnd();
  return signature;
}

/**
 * The signature must be of the one scheme that the key is bound to.
 * @throws BonafideError `permission_denied` when it does not verify, `invalid_argument` when it is malformed.
 */
export function verifyTpmSignature(signer: TpmPublic, message: Buffer, rawSignature: Buffer): void {
  const signature = parseTpmSignature(rawSignature);
  const { scheme } = signer;
  const schemeOfSignature = KINDS.find(({ kind }) => kind === signature.kind)?.algorithm;
  if (scheme?.algorithm !== schemeOfSignature || scheme?.hash !== signature.hash)
    throw new BonafideError('permission_denied', `${SUBJECT}: not of the scheme that its key is bound to`);
  if (!isVerified(signer, message, signature))
    throw new BonafideError(
      'permission_denied',
      `${SUBJECT}: does not verify under the key that should have made it`,
    );
}

/** What other tools expect of a signature: the number of RSA; r and s of ECDSA, each as long as the curve's field. */
export function plainSignature(signer: TpmPublic, signature: TpmSignature): Buffer {
  if (signature.kind !== 'ecdsa') return signature.signature;
  const length = signer.type === 'ecc' ? signer.key.x.length : LONGEST_ECC_BYTES;
  return Buffer.concat([leftPadded(signature.r, length), leftPadded(signature.s, length)]);
}

function isVerified(signer: TpmPublic, message: Buffer, signature: TpmSignature): boolean {
  const key = publicKeyOf(signer);
  const plain = plainSignature(signer, signature);
  if (signature.kind !== 'ecdsa' && !hasRsaSignatureLength(key, plain)) return false;
  try {
    return verify(signature.hash, message, verificationInput(key, signature), plain);
  } catch (cause) {
    throw invalidArgument(`${SUBJECT}: its key verifies nothing`, cause);
  }
}

function verificationInput(key: KeyObject, signature: TpmSignature): VerifyKeyObjectInput {
  switch (signature.kind) {
    case 'ecdsa':
      return { key, dsaEncoding: 'ieee-p1363' };
    case 'rsassa':
      return { key, padding: constants.RSA_PKCS1_PADDING };
    case 'rsapss':
      return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
  }
}
