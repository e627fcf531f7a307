/** SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, RFC 5480): which keys we accept, and their quick import. */
import { createPublicKey, hash, KeyObject, webcrypto } from 'node:crypto';
import { invalidArgument, type BonafideError } from '../errors/bonafide-error.js';
import { DerReader } from './der/der-reader.js';
import { derElement, derSequence } from './der/der-writer.js';
import { DER_TAG } from './der/der-tag.js';
import { encodeOid, OID } from './der/object-identifier.js';

const P256_IDENTIFIER = derSequence(encodeOid(OID.ecPublicKey), encodeOid(OID.p256));
const P384_IDENTIFIER = derSequence(encodeOid(OID.ecPublicKey), encodeOid(OID.p384));
const P521_IDENTIFIER = derSequence(encodeOid(OID.ecPublicKey), encodeOid(OID.p521));
const RSA_IDENTIFIER = derSequence(encodeOid(OID.rsaEncryption), derElement(DER_TAG.null));

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;
const MAX_RSA_EXPONENT_BYTES = 4;

export interface SubjectPublicKey {
  readonly kind: 'ec-p256' | 'ec-p384' | 'ec-p521' | 'rsa';
  /** The whole SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** The content of its BIT STRING: an EC point, or an RSAPublicKey. */
  readonly keyBits: Buffer;
}

/**
 * Reads the key without importing it.
 * @throws BonafideError `invalid_argument` for anything but EC P-256, P-384, P-521 or RSA of 2048 to 8192 bits.
 */
export function parseSubjectPublicKey(spki: Buffer, subject: string): SubjectPublicKey {
  const outer = new DerReader(spki, subject);
  const reader = outer.enter(DER_TAG.sequence, 'public key');
  outer.expectEnd('public key');
  const identifier = reader.readElement(DER_TAG.sequence, 'public key algorithm');
  const keyBits = reader.readBitString('public key');
  reader.expectEnd('public key');
  if (identifier.equals(P256_IDENTIFIER)) {
    checkPoint(keyBits, 65, subject);
    return { kind: 'ec-p256', spki, keyBits };
  }
  if (identifier.equals(P384_IDENTIFIER)) {
    checkPoint(keyBits, 97, subject);
    return { kind: 'ec-p384', spki, keyBits };
  }
  if (identifier.equals(P521_IDENTIFIER)) {
    checkPoint(keyBits, 133, subject);
    return { kind: 'ec-p521', spki, keyBits };
  }
  if (identifier.equals(RSA_IDENTIFIER)) {
    checkRsaKey(keyBits, subject);
    return { kind: 'rsa', spki, keyBits };
  }
  throw unsupportedPublicKey(subject);
}

export function unsupportedPublicKey(subject: string): BonafideError {
  return invalidArgument(
    `unsupported public key in ${subject}; accepted are EC P-256, EC P-384 and RSA of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits`,
  );
}

/** Several times faster than `importSubjectPublicKeySync` for P-256, the key of nearly every CSR. */
export async function importSubjectPublicKey(key: SubjectPublicKey): Promise<KeyObject> {
  if (key.kind !== 'ec-p256') return importSubjectPublicKeySync(key);
  try {
    const imported = await webcrypto.subtle.importKey('raw', key.keyBits, P256_PARAMETERS, true, ['verify']);
    return KeyObject.from(imported);
  } catch (cause) {
    throw invalidArgument('the public key is not a point of its curve', cause);
  }
}

export function importSubjectPublicKeySync(key: SubjectPublicKey): KeyObject {
  try {
    return createPublicKey({ key: key.spki, format: 'der', type: 'spki' });
  } catch (cause) {
    throw invalidArgument(
      key.kind === 'rsa' ? 'the public key is not an RSA key' : 'the public key is not a point of its curve',
      cause,
    );
  }
}

/** RFC 5280 section 4.2.1.2, method 1: SHA-1 of the key bits. A name, not a safeguard. */
export function subjectKeyIdentifier(keyBits: Buffer): Buffer {
  return hash('sha1', keyBits, 'buffer');
}

const P256_PARAMETERS = { name: 'ECDSA', namedCurve: 'P-256' } as const;

function checkPoint(point: Buffer, length: number, subject: string): void {
  if (point.length !== length || point[0] !== 0x04) {
    throw invalidArgument(`malformed ${subject}: public key is not an uncompressed point of its curve`);
  }
}

function checkRsaKey(keyBits: Buffer, subject: string): void {
  const outer = new DerReader(keyBits, subject);
  const reader = outer.enter(DER_TAG.sequence, 'RSA public key');
  outer.expectEnd('RSA public key');
  const modulus = reader.readInteger('RSA modulus');
  const exponent = reader.readInteger('RSA exponent');
  reader.expectEnd('RSA public key');
  const bits = modulusBits(modulus);
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
    throw invalidArgument(
      `RSA key of ${bits} bits in ${subject}; accepted are ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`,
    );
  }
  // A large exponent makes verifying as slow as signing.
  const isOdd = ((exponent[exponent.length - 1] ?? 0) & 1) === 1;
  const isPositive = ((exponent[0] ?? 0x80) & 0x80) === 0;
  if (
    !isOdd ||
    !isPositive ||
    exponent.length > MAX_RSA_EXPONENT_BYTES ||
    (exponent.length === 1 && exponent[0] === 1)
  ) {
    throw invalidArgument(`unsupported RSA exponent in ${subject}; 65537 is usual`);
  }
}

function modulusBits(modulus: Buffer): number {
  const first = modulus[0] ?? 0;
  if ((first & 0x80) !== 0) return 0; // negative
  const magnitude = first === 0 ? modulus.subarray(1) : modulus;
  return magnitude.length === 0 ? 0 : magnitude.length * 8 - Math.clz32(magnitude[0] ?? 0) + 24;
}
