/** The signature algorithms of JWT-SVIDs and WIT-SVIDs (JWT-SVID section 2.1, RFC 7518 sections 3.3 to 3.5) and nothing beside them. */
import { constants, sign, verify, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { enterOnly } from './der/der-reader.js';
import { DER_TAG } from './der/der-tag.js';
import type { KeyType } from './key-type.js';
import { hasRsaSignatureLength } from './rsa-signature-length.js';
import type { SignatureHash } from './signature-algorithm.js';
import type { Signer } from './signer.js';

export const JWS_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const;
export type JwsAlgorithm = (typeof JWS_ALGORITHMS)[number];

const LEAST_RSA_BITS = 2048;
const MOST_RSA_BITS = 8192;

interface Curve {
  /** OpenSSL's name. */
  readonly name: string;
  /** Of each of the two numbers of a signature. */
  readonly octets: number;
}

const CURVES: Readonly<Record<string, Curve>> = {
  ES256: { name: 'prime256v1', octets: 32 },
  ES384: { name: 'secp384r1', octets: 48 },
  ES512: { name: 'secp521r1', octets: 66 },
};

/** @param name from outside. */
export function isJwsAlgorithm(name: unknown): name is JwsAlgorithm {
  return JWS_ALGORITHMS.some((algorithm) => algorithm === name);
}

/** What a key of this type signs with, as in SPIRE. */
export function jwsAlgorithmFor(keyType: KeyType): JwsAlgorithm {
  switch (keyType) {
    case 'ec-p256':
      return 'ES256';
    case 'ec-p384':
      return 'ES384';
    case 'rsa-2048':
    case 'rsa-4096':
      return 'RS256';
  }
}

/** Whether the key is of the kind that the algorithm asks for: the right curve, or RSA of 2048 to 8192 bits. */
export function isKeyFor(algorithm: JwsAlgorithm, key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  const curve = CURVES[algorithm];
  if (curve !== undefined) return key.asymmetricKeyType === 'ec' && details?.namedCurve === curve.name;
  const bits = details?.modulusLength ?? 0;
  return key.asymmetricKeyType === 'rsa' && bits >= LEAST_RSA_BITS && bits <= MOST_RSA_BITS;
}

interface SignedInput {
  readonly algorithm: JwsAlgorithm;
  readonly publicKey: KeyObject;
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
}

/** On the thread pool. False also for a key that does not belong to the algorithm. */
export function verifyJws({ algorithm, publicKey, data, signature }: SignedInput): Promise<boolean> {
  if (!isKeyFor(algorithm, publicKey)) return Promise.resolve(false);
  if (CURVES[algorithm] === undefined && !hasRsaSignatureLength(publicKey, signature)) {
    return Promise.resolve(false);
  }
  const key = { key: publicKey, dsaEncoding: 'ieee-p1363' as const, ...rsaOptions(algorithm) };
  return new Promise((resolve, reject) => {
    verify(hashOf(algorithm), data, key, signature, (error, isValid) => {
      if (error === null) resolve(isValid);
      else reject(error);
    });
  });
}

/** With the algorithm that belongs to the signer's key. */
export async function signJws(signer: Signer, data: Uint8Array): Promise<Buffer> {
  const algorithm = jwsAlgorithmFor(signer.keyType);
  const signature = await signer.sign(data, hashOf(algorithm));
  const curve = CURVES[algorithm];
  return curve === undefined ? signature : concatenateNumbers(signature, curve.octets);
}

/**
 * With an algorithm that something else has fixed, such as `cnf.jwk.alg` of a WIT-SVID. On the thread pool.
 * @throws BonafideError `invalid_argument` when the key is not one for the algorithm.
 */
export function signJwsAs(algorithm: JwsAlgorithm, privateKey: KeyObject, data: Uint8Array): Promise<Buffer> {
  if (!isKeyFor(algorithm, privateKey)) throw invalidArgument(`the private key is not one for ${algorithm}`);
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' as const, ...rsaOptions(algorithm) };
  return new Promise((resolve, reject) => {
    sign(hashOf(algorithm), data, key, (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });
}

function hashOf(algorithm: JwsAlgorithm): SignatureHash {
  switch (algorithm.slice(2)) {
    case '256':
      return 'sha256';
    case '384':
      return 'sha384';
    case '512':
      return 'sha512';
    default:
      throw invalidArgument(`unknown algorithm ${algorithm}`);
  }
}

function rsaOptions(algorithm: JwsAlgorithm): { padding?: number; saltLength?: number } {
  if (algorithm.startsWith('RS')) return { padding: constants.RSA_PKCS1_PADDING };
  if (!algorithm.startsWith('PS')) return {};
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}

/** RFC 7518 section 3.4 wants the two numbers side by side, each as long as the curve, where X.509 has a DER sequence of them. */
function concatenateNumbers(signature: Buffer, octets: number): Buffer {
  const numbers = enterOnly(signature, DER_TAG.sequence, 'ECDSA signature');
  const concatenated = Buffer.alloc(2 * octets);
  for (const end of [octets, 2 * octets]) {
    const number = numbers.readInteger('number');
    const isNegative = ((number[0] ?? 0) & 0x80) !== 0;
    const significant = number[0] === 0 ? number.subarray(1) : number;
    if (isNegative || significant.length > octets)
      throw numbers.malformed('number', 'is not one of its curve');
    significant.copy(concatenated, end - significant.length);
  }
  numbers.expectEnd('ECDSA signature');
  return concatenated;
}
