/** The right to sign with one private key, wherever the key lives. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { keyTypeOf, type KeyType } from './key-type.js';
import { signWithKey, type SignatureHash, type SigningPlace } from './signature-algorithm.js';

export interface Signer {
  readonly keyType: KeyType;
  readonly publicKey: KeyObject;
  /** @param hash the digest of the signature. ECDSA signatures come back DER-encoded. */
  sign(data: Uint8Array, hash: SignatureHash): Promise<Buffer>;
  /**
   * The private key, to be handed to a worker thread of this process and to nobody else: never logged, exported or kept. Its bytes do not
   * travel: both threads hold the same key. A signer whose key is not in this process has no such method and signs where it is.
   */
  readonly keyForWorker?: () => KeyObject;
}

/**
 * A signer for a key of this process.
 * @throws BonafideError `invalid_argument` for a key of no known type.
 */
export function createKeySigner(privateKey: KeyObject, place: SigningPlace = 'thread_pool'): Signer {
  const keyType = keyTypeOf(privateKey);
  if (keyType === undefined)
    throw invalidArgument('a signing key must be EC P-256, EC P-384, RSA 2048 or RSA 4096');
  return {
    keyType,
    publicKey: createPublicKey(privateKey),
    sign: (data, hash) => signWithKey(privateKey, data, hash, place),
    keyForWorker: () => privateKey,
  };
}
