/** X.509 extensions (RFC 5280 section 4.2): read into a table by object identifier, and written one by one. */
import { DerReader, enterOnly } from './der-reader.js';
import { derElement, derOctetString, derSequence } from './der-writer.js';
import { contextTag, DER_TAG } from './der-tag.js';
import { encodeSubjectAlternativeNames, type SubjectAlternativeNames } from './general-names.js';
import { encodeOid, OID } from './object-identifier.js';

export interface X509Extension {
  readonly isCritical: boolean;
  /** What the OCTET STRING holds. */
  readonly value: Buffer;
}

/** In the order of RFC 5280's bit string. */
export const KEY_USAGES = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

export interface BasicConstraints {
  readonly isCa: boolean;
  /** How many intermediates may follow below; undefined: any number. */
  readonly pathLength: number | undefined;
}

/** @param extensions SEQUENCE OF Extension, DER. @throws BonafideError `invalid_argument`, also for an extension that is there twice. */
export function parseX509Extensions(extensions: Buffer, subject: string): ReadonlyMap<string, X509Extension> {
  const reader = enterOnly(extensions, DER_TAG.sequence, subject);
  const found = new Map<string, X509Extension>();
  while (!reader.isAtEnd()) {
    const extension = reader.enter(DER_TAG.sequence, 'extension');
    const type = extension.readObjectIdentifier('extension type');
    const isCritical =
      extension.nextTag() === DER_TAG.boolean && extension.readBoolean('extension criticality');
    const value = extension.readContent(DER_TAG.octetString, 'extension value');
    extension.expectEnd('extension');
    if (found.has(type)) throw reader.malformed('extensions', 'have one twice');
    found.set(type, { isCritical, value });
  }
  return found;
}

export function encodeX509Extension(type: string, isCritical: boolean, value: Buffer): Buffer {
  const head = isCritical
    ? [encodeOid(type), derElement(DER_TAG.boolean, Buffer.from([0xff]))]
    : [encodeOid(type)];
  return derSequence(...head, derOctetString(value));
}

export function parseBasicConstraints(value: Buffer, subject: string): BasicConstraints {
  const reader = enterOnly(value, DER_TAG.sequence, subject);
  const isCa = reader.nextTag() === DER_TAG.boolean && reader.readBoolean('basic constraints');
  const pathLength = reader.isAtEnd() ? undefined : reader.readSmallInteger('path length');
  reader.expectEnd('basic constraints');
  if (pathLength !== undefined && !isCa)
    throw reader.malformed('basic constraints', 'limit the path of a leaf');
  return { isCa, pathLength };
}

/** Always critical. */
export function encodeBasicConstraints({ isCa, pathLength }: BasicConstraints): Buffer {
  const ca = isCa ? [derElement(DER_TAG.boolean, Buffer.from([0xff]))] : [];
  const path = pathLength === undefined ? [] : [derElement(DER_TAG.integer, Buffer.from([pathLength]))];
  return encodeX509Extension(OID.basicConstraints, true, derSequence(...ca, ...path));
}

export function parseKeyUsages(value: Buffer, subject: string): ReadonlySet<KeyUsage> {
  const reader = new DerReader(value, subject);
  const [unusedBits = 8, ...bytes] = reader.readContent(DER_TAG.bitString, 'key usage');
  reader.expectEnd('key usage');
  const last = bytes.at(-1);
  // A named bit string ends with its last bit that is set (X.690 section 11.2.2).
  if (
    bytes.length > 2 ||
    last === undefined ||
    unusedBits > 7 ||
    (last & ((2 << unusedBits) - 1)) !== 1 << unusedBits
  ) {
    throw reader.malformed('key usage', 'is not a named bit string');
  }
  const bits = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  return new Set(KEY_USAGES.filter((_, index) => (bits & (0x8000 >> index)) !== 0));
}

/** Always critical. @param usages at least one of the first eight. */
export function encodeKeyUsages(usages: readonly KeyUsage[]): Buffer {
  let bits = 0;
  for (const usage of usages) bits |= 0x80 >> KEY_USAGES.indexOf(usage);
  const unusedBits = 31 - Math.clz32(bits & -bits);
  return encodeX509Extension(
    OID.keyUsage,
    true,
    derElement(DER_TAG.bitString, Buffer.from([unusedBits, bits])),
  );
}

/** @returns object identifiers as in `OID`. */
export function parseExtendedKeyUsages(value: Buffer, subject: string): ReadonlySet<string> {
  const reader = enterOnly(value, DER_TAG.sequence, subject);
  const usages = new Set<string>();
  if (reader.isAtEnd()) throw reader.malformed('extended key usage', 'is empty');
  while (!reader.isAtEnd()) usages.add(reader.readObjectIdentifier('extended key usage'));
  return usages;
}

export function encodeExtendedKeyUsages(usages: readonly string[]): Buffer {
  return encodeX509Extension(OID.extendedKeyUsage, false, derSequence(...usages.map(encodeOid)));
}

export function parseSubjectKeyIdentifier(value: Buffer, subject: string): Buffer {
  const reader = new DerReader(value, subject);
  const identifier = reader.readContent(DER_TAG.octetString, 'subject key identifier');
  reader.expectEnd('subject key identifier');
  return identifier;
}

export function encodeSubjectKeyIdentifier(identifier: Buffer): Buffer {
  return encodeX509Extension(OID.subjectKeyIdentifier, false, derOctetString(identifier));
}

/** The key identifier; undefined when only issuer and serial number are named. */
export function parseAuthorityKeyIdentifier(value: Buffer, subject: string): Buffer | undefined {
  const reader = enterOnly(value, DER_TAG.sequence, subject);
  const tag = contextTag(0, false);
  return reader.nextTag() === tag ? reader.readContent(tag, 'authority key identifier') : undefined;
}

export function encodeAuthorityKeyIdentifier(identifier: Buffer): Buffer {
  const value = derSequence(derElement(contextTag(0, false), identifier));
  return encodeX509Extension(OID.authorityKeyIdentifier, false, value);
}

/** @param isCritical must be true when the subject is empty (RFC 5280 section 4.1.2.6). */
export function encodeSubjectAlternativeNameExtension(
  names: SubjectAlternativeNames,
  isCritical: boolean,
): Buffer {
  return encodeX509Extension(OID.subjectAlternativeName, isCritical, encodeSubjectAlternativeNames(names));
}
