/** The public area of a key in a TPM, TPMT_PUBLIC (TPM 2.0 Part 2 section 12.2.4), its Name and its key. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { LONGEST_DIGEST_BYTES, TPM_ALG, algorithmOf, hashOf, tpmDigest, type TpmHash } from './algorithm.js';
import { readAttributes, type ObjectAttribute } from './object-attribute.js';
import { hierarchyHandle, type TpmHierarchy } from './hierarchy.js';
import { TpmReader } from './tpm-reader.js';
import { TpmWriter } from './tpm-writer.js';

export type TpmCurve = 'P-256' | 'P-384';

interface TpmRsaKey {
  readonly bits: number;
  readonly exponent: number;
  readonly modulus: Buffer;
}

/** Coordinates are as long as the curve's field. */
interface TpmEccKey {
  readonly curve: TpmCurve;
  readonly x: Buffer;
  readonly y: Buffer;
}

interface TpmSymmetric {
  readonly algorithm: number;
  readonly keyBits: number;
  readonly mode: number;
}

interface TpmScheme {
  readonly algorithm: number;
  /** Undefined where the scheme has none (RSAES). */
  readonly hash: TpmHash | undefined;
}

interface TpmPublicCommon {
  readonly nameAlgorithm: TpmHash;
  readonly attributes: ReadonlySet<ObjectAttribute>;
  readonly authPolicy: Buffer;
  /** Undefined: TPM_ALG_NULL, as for keys that protect no others. */
  readonly symmetric: TpmSymmetric | undefined;
  readonly scheme: TpmScheme | undefined;
  /** The TPMT_PUBLIC that was parsed: what the Name is the hash of. */
  readonly raw: Buffer;
}

export interface TpmRsaPublic extends TpmPublicCommon {
  readonly type: 'rsa';
  readonly key: TpmRsaKey;
}

export interface TpmEccPublic extends TpmPublicCommon {
  readonly type: 'ecc';
  readonly key: TpmEccKey;
}

export type TpmPublic = TpmRsaPublic | TpmEccPublic;

const SUBJECT = 'TPM public area';
export const LARGEST_PUBLIC_BYTES = 1024;
const LARGEST_RSA_BITS = 4096;
const DEFAULT_EXPONENT = 65537;
const CURVES = [
  { id: 0x0003, curve: 'P-256', bytes: 32 },
  { id: 0x0004, curve: 'P-384', bytes: 48 },
] as const satisfies readonly { id: number; curve: TpmCurve; bytes: number }[];

/**
 * @param raw a TPMT_PUBLIC, that is without the size of a TPM2B_PUBLIC before it.
 * @throws BonafideError `invalid_argument`; only RSA and ECC keys are known.
 */
export function parseTpmPublic(raw: Buffer): TpmPublic {
  if (raw.length > LARGEST_PUBLIC_BYTES)
    throw invalidArgument(`${SUBJECT}: more than ${LARGEST_PUBLIC_BYTES} bytes`);
  const reader = new TpmReader(Buffer.from(raw), SUBJECT);
  const type = reader.readUint16('type');
  const nameAlgorithm = hashOf(reader.readUint16('name algorithm'));
  if (nameAlgorithm === undefined) throw reader.malformed('name algorithm', 'is not SHA-1 or SHA-2');
  const attributes = readAttributes(reader);
  const authPolicy = reader.readSized(LONGEST_DIGEST_BYTES, 'policy');
  if (type !== TPM_ALG.rsa && type !== TPM_ALG.ecc)
    throw reader.malformed('type', 'is neither an RSA nor an ECC key');
  const symmetric = readSymmetric(reader);
  const scheme = readScheme(reader, 'scheme');
  const common = { nameAlgorithm, attributes, authPolicy, symmetric, scheme, raw: Buffer.from(raw) };
  const parsed: TpmPublic =
    type === TPM_ALG.rsa
      ? { ...common, type: 'rsa', key: readRsaKey(reader) }
      : { ...common, type: 'ecc', key: readEccKey(reader) };
  reader.expectEnd();
  return parsed;
}

/** The Name of the object: its name algorithm and the hash of its public area (TPM 2.0 Part 1 section 16). */
export function tpmName(key: TpmPublic): Buffer {
  return namedDigest(key.nameAlgorithm, key.raw);
}

/** The Qualified Name of a primary key: it also says in which hierarchy the key was made. */
export function qualifiedNameOfPrimary(key: TpmPublic, hierarchy: TpmHierarchy): Buffer {
  return namedDigest(
    key.nameAlgorithm,
    new TpmWriter().uint32(hierarchyHandle(hierarchy)).bytes(tpmName(key)).build(),
  );
}

/** @throws BonafideError `invalid_argument` when it is no key, for example a point that is not on its curve. */
export function publicKeyOf(key: TpmPublic): KeyObject {
  try {
    return createPublicKey({ format: 'jwk', key: key.type === 'rsa' ? rsaJwk(key.key) : eccJwk(key.key) });
  } catch (error) {
    throw invalidArgument(`${SUBJECT}: no valid ${key.type} key`, error);
  }
}

export function curveId(curve: TpmCurve): number {
  return curve === 'P-256' ? CURVES[0].id : CURVES[1].id;
}

function namedDigest(hash: TpmHash, content: Buffer): Buffer {
  return new TpmWriter().uint16(algorithmOf(hash)).bytes(tpmDigest(hash, content)).build();
}

function rsaJwk(key: TpmRsaKey): { kty: string; n: string; e: string } {
  const exponent = new TpmWriter().uint32(key.exponent).build();
  const start = exponent.findIndex((byte) => byte !== 0);
  return {
    kty: 'RSA',
    n: key.modulus.toString('base64url'),
    e: exponent.subarray(start).toString('base64url'),
  };
}

function eccJwk(key: TpmEccKey): { kty: string; crv: string; x: string; y: string } {
  return { kty: 'EC', crv: key.curve, x: key.x.toString('base64url'), y: key.y.toString('base64url') };
}

function readSymmetric(reader: TpmReader): TpmSymmetric | undefined {
  const algorithm = reader.readUint16('symmetric algorithm');
  if (algorithm === TPM_ALG.null) return undefined;
  return {
    algorithm,
    keyBits: reader.readUint16('symmetric key bits'),
    mode: reader.readUint16('symmetric mode'),
  };
}

function readScheme(reader: TpmReader, field: string): TpmScheme | undefined {
  const algorithm = reader.readUint16(field);
  if (algorithm === TPM_ALG.null) return undefined;
  if (algorithm === TPM_ALG.rsaes) return { algorithm, hash: undefined };
  const known: readonly number[] = [
    TPM_ALG.rsassa,
    TPM_ALG.rsapss,
    TPM_ALG.oaep,
    TPM_ALG.ecdsa,
    TPM_ALG.ecdh,
  ];
  if (!known.includes(algorithm))
    throw reader.malformed(field, `is 0x${algorithm.toString(16)}, which is not known`);
  const hash = hashOf(reader.readUint16(`${field} hash`));
  if (hash === undefined) throw reader.malformed(`${field} hash`, 'is not SHA-1 or SHA-2');
  return { algorithm, hash };
}

function readRsaKey(reader: TpmReader): TpmRsaKey {
  const bits = reader.readUint16('key bits');
  const exponent = reader.readUint32('exponent') || DEFAULT_EXPONENT;
  const modulus = reader.readSized(LARGEST_RSA_BITS / 8, 'modulus');
  // The top bit set: a modulus that only claims its length would be a weaker key.
  if (modulus.length * 8 !== bits || ((modulus[0] ?? 0) & 0x80) === 0)
    throw reader.malformed('modulus', `is not of ${bits} bits`);
  if (((modulus.at(-1) ?? 0) & 1) === 0) throw reader.malformed('modulus', 'is even');
  if (exponent < 3 || exponent % 2 === 0) throw reader.malformed('exponent', 'is even or 1');
  return { bits, exponent, modulus };
}

function readEccKey(reader: TpmReader): TpmEccKey {
  const id = reader.readUint16('curve');
  const known = CURVES.find((curve) => curve.id === id);
  if (known === undefined) throw reader.malformed('curve', 'is neither P-256 nor P-384');
  if (reader.readUint16('key derivation') !== TPM_ALG.null)
    throw reader.malformed('key derivation', 'is not null');
  return {
    curve: known.curve,
    x: leftPadded(reader.readSized(known.bytes, 'x'), known.bytes),
    y: leftPadded(reader.readSized(known.bytes, 'y'), known.bytes),
  };
}

/** A TPM may leave out leading zeros of a coordinate. */
export function leftPadded(value: Buffer, length: number): Buffer {
  return Buffer.concat([Buffer.alloc(Math.max(length - value.length, 0)), value]);
}
