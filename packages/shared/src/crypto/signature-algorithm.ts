/** The signature algorithms of certificates and CSRs (RFC 5758, RFC 4055): ECDSA and RSA PKCS#1 v1.5 with SHA-2. */
import { sign, verify, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { derElement, derSequence } from './der/der-writer.js';
import { DER_TAG } from './der/der-tag.js';
import type { KeyType } from './key-type.js';
import { encodeOid, OID } from './der/object-identifier.js';

export type SignatureHash = 'sha256' | 'sha384' | 'sha512';

export interface SignatureAlgorithm {
  readonly name: string;
  readonly keyKind: 'ec' | 'rsa';
  readonly hash: SignatureHash;
  /** The AlgorithmIdentifier, DER. */
  readonly identifier: Buffer;
}

function ecdsa(hash: SignatureHash, oid: string): SignatureAlgorithm {
  return { name: `ecdsa-with-${hash}`, keyKind: 'ec', hash, identifier: derSequence(encodeOid(oid)) };
}

function rsa(hash: SignatureHash, oid: string): SignatureAlgorithm {
  const identifier = derSequence(encodeOid(oid), derElement(DER_TAG.null));
  return { name: `${hash}-with-rsa`, keyKind: 'rsa', hash, identifier };
}

const ECDSA_SHA256 = ecdsa('sha256', OID.ecdsaWithSha256);
const ECDSA_SHA384 = ecdsa('sha384', OID.ecdsaWithSha384);
const RSA_SHA256 = rsa('sha256', OID.sha256WithRsa);

const ALGORITHMS: readonly SignatureAlgorithm[] = [
  ECDSA_SHA256,
  ECDSA_SHA384,
  ecdsa('sha512', OID.ecdsaWithSha512),
  RSA_SHA256,
  rsa('sha384', OID.sha384WithRsa),
  rsa('sha512', OID.sha512WithRsa),
];

/**
 * Where signatures are made and verified: on the thread pool, while the caller goes on with something else, or on the thread that asks,
 * which is quicker for a thread that has nothing else to do.
 */
export type SigningPlace = 'thread_pool' | 'this_thread';

/** What a key of this type signs with. */
export function signatureAlgorithmFor(keyType: KeyType): SignatureAlgorithm {
  switch (keyType) {
    case 'ec-p256':
      return ECDSA_SHA256;
    case 'ec-p384':
      return ECDSA_SHA384;
    case 'rsa-2048':
    case 'rsa-4096':
      return RSA_SHA256;
  }
}

/** @param identifier the AlgorithmIdentifier as it was read; parameters must be exactly the standard's. */
export function parseSignatureAlgorithm(identifier: Buffer): SignatureAlgorithm {
  const found = ALGORITHMS.find((algorithm) => algorithm.identifier.equals(identifier));
  if (found === undefined) {
    throw invalidArgument(
      'unsupported signature algorithm; accepted are ECDSA and RSA (PKCS#1 v1.5) with SHA-256, SHA-384 or SHA-512',
    );
  }
  return found;
}

export function rsaSignatureAlgorithm(hash: SignatureHash): SignatureAlgorithm {
  const found = ALGORITHMS.find((algorithm) => algorithm.keyKind === 'rsa' && algorithm.hash === hash);
  if (found === undefined) throw new RangeError(`no RSA signatures with ${hash}`);
  return found;
}

interface SignedData {
  readonly algorithm: SignatureAlgorithm;
  readonly publicKey: KeyObject;
  readonly data: Buffer;
  readonly signature: Buffer;
}

/** Blocks for 0.1 ms or more: for the few signatures of a handshake. */
export function verifySignatureSync({ algorithm, publicKey, data, signature }: SignedData): boolean {
  if (publicKey.asymmetricKeyType !== algorithm.keyKind) return false;
  return verify(algorithm.hash, data, publicKey, signature);
}

/** On the thread pool. */
export function verifySignature({ algorithm, publicKey, data, signature }: SignedData): Promise<boolean> {
  if (publicKey.asymmetricKeyType !== algorithm.keyKind) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    verify(algorithm.hash, data, publicKey, signature, (error, isValid) => {
      if (error === null) resolve(isValid);
      else reject(error);
    });
  });
}

/** ECDSA signatures come back DER-encoded. */
export async function signWithKey(
  privateKey: KeyObject,
  data: Uint8Array,
  hash: SignatureHash,
  place: SigningPlace = 'thread_pool',
): Promise<Buffer> {
  if (place === 'this_thread') return sign(hash, data, privateKey);
  return new Promise((resolve, reject) => {
    sign(hash, data, privateKey, (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });
}
