/** Proof that someone holds a certificate's key: a signature over what both sides chose, as SPIRE's x509pop makes it (RSA-PSS or ECDSA, SHA-256). */
import { constants, sign, verify, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { hasRsaSignatureLength } from './rsa-signature-length.js';

export type PossessionProof =
  | { readonly kind: 'rsa'; readonly signature: Buffer }
  /** Big-endian numbers; leading zero bytes may be missing. */
  | { readonly kind: 'ec'; readonly r: Buffer; readonly s: Buffer };

/** @throws BonafideError `invalid_argument` for a key that is neither RSA nor EC. */
export function possessionKindOf(key: KeyObject): PossessionProof['kind'] {
  if (key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'ec') return key.asymmetricKeyType;
  throw invalidArgument(
    `keys of type ${key.asymmetricKeyType ?? 'none'} prove nothing here; expected RSA or EC`,
  );
}

/** @throws BonafideError `invalid_argument` for a key that is neither RSA nor EC. */
export function provePossession(privateKey: KeyObject, data: Buffer): PossessionProof {
  if (possessionKindOf(privateKey) === 'rsa') {
    return {
      kind: 'rsa',
      signature: sign('sha256', data, {
        key: privateKey,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }),
    };
  }
  const signature = sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const half = signature.length / 2;
  return { kind: 'ec', r: signature.subarray(0, half), s: signature.subarray(half) };
}

export function isPossessionProven(publicKey: KeyObject, data: Buffer, proof: PossessionProof): boolean {
  if (proof.kind !== publicKey.asymmetricKeyType) return false;
  if (proof.kind === 'rsa') {
    const { RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_AUTO } = constants;
    const key = { key: publicKey, padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_AUTO };
    return hasRsaSignatureLength(publicKey, proof.signature) && verify('sha256', data, key, proof.signature);
  }
  const size = coordinateBytes(publicKey);
  if (size === undefined || proof.r.length > size || proof.s.length > size) return false;
  const signature = Buffer.alloc(2 * size);
  proof.r.copy(signature, size - proof.r.length);
  proof.s.copy(signature, 2 * size - proof.s.length);
  return verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
}

const COORDINATE_BYTES: Readonly<Record<string, number>> = { prime256v1: 32, secp384r1: 48, secp521r1: 66 };

function coordinateBytes(key: KeyObject): number | undefined {
  return COORDINATE_BYTES[key.asymmetricKeyDetails?.namedCurve ?? ''];
}
