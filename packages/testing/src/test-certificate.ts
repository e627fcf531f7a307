/** Certificates for tests, right or wrong on purpose: every field that a verifier should look at can be set. */
import { createHash, randomBytes, sign, type KeyObject } from 'node:crypto';
import { contextTag, DER_TAG } from '@bonafide/shared/crypto/der/der-tag';
import {
  derBitString,
  derElement,
  derOctetString,
  derSequence,
  derTime,
  derUnsignedInteger,
} from '@bonafide/shared/crypto/der/der-writer';
import { encodeOid, OID } from '@bonafide/shared/crypto/der/object-identifier';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';

/** Bits of the key usage extension, most significant first (RFC 5280 section 4.2.1.3). */
type KeyUsage = 'digitalSignature' | 'keyEncipherment' | 'keyAgreement' | 'keyCertSign' | 'cRLSign';

export interface TestCertificateOptions {
  /** An EC P-256 key of either kind. */
  readonly publicKey: KeyObject;
  readonly subjectName: string;
  readonly issuerName: string;
  readonly issuerPublicKey: KeyObject;
  /** EC P-256. */
  readonly signingKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly uriNames: readonly string[];
  readonly dnsNames: readonly string[];
  /** Undefined leaves the extension out. */
  readonly keyUsages: readonly KeyUsage[] | undefined;
  /** True unless told. */
  readonly isKeyUsageCritical?: boolean;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  readonly extendedKeyUsages: readonly ('serverAuth' | 'clientAuth')[];
}

const KEY_USAGE_BITS: Readonly<Record<KeyUsage, number>> = {
  digitalSignature: 0,
  keyEncipherment: 2,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
};

const TRUE = derElement(DER_TAG.boolean, Buffer.from([0xff]));
const VERSION_3 = derElement(contextTag(0), derUnsignedInteger(Buffer.from([2])));
const ECDSA_WITH_SHA256 = derSequence(encodeOid(OID.ecdsaWithSha256));

/** DER of a certificate signed with ECDSA and SHA-256. */
export function createTestCertificate(options: TestCertificateOptions): Buffer {
  const serialNumber = randomBytes(16);
  serialNumber[0] = 0x40 | ((serialNumber[0] ?? 0) & 0x3f); // positive and always 16 bytes long
  const toBeSigned = derSequence(
    VERSION_3,
    derUnsignedInteger(serialNumber),
    ECDSA_WITH_SHA256,
    distinguishedName(options.issuerName),
    derSequence(derTime(options.notBefore), derTime(options.notAfter)),
    distinguishedName(options.subjectName),
    exportSpki(options.publicKey),
    derElement(contextTag(3), derSequence(...extensions(options))),
  );
  const signature = sign('sha256', toBeSigned, options.signingKey);
  return derSequence(toBeSigned, ECDSA_WITH_SHA256, derBitString(signature));
}

function extensions(options: TestCertificateOptions): Buffer[] {
  const { keyUsages, isKeyUsageCritical = true, extendedKeyUsages, uriNames, dnsNames } = options;
  const list = [
    extension(OID.basicConstraints, true, basicConstraints(options)),
    extension(OID.subjectKeyIdentifier, false, derOctetString(keyIdentifier(options.publicKey))),
    extension(
      OID.authorityKeyIdentifier,
      false,
      derSequence(derElement(contextTag(0, false), keyIdentifier(options.issuerPublicKey))),
    ),
  ];
  if (keyUsages !== undefined)
    list.push(extension(OID.keyUsage, isKeyUsageCritical, keyUsageBits(keyUsages)));
  if (extendedKeyUsages.length > 0) {
    const purposes = extendedKeyUsages.map((purpose) => encodeOid(OID[purpose]));
    list.push(extension(OID.extendedKeyUsage, false, derSequence(...purposes)));
  }
  const names = [
    ...uriNames.map((name) => derElement(contextTag(6, false), Buffer.from(name, 'latin1'))),
    ...dnsNames.map((name) => derElement(contextTag(2, false), Buffer.from(name, 'latin1'))),
  ];
  if (names.length > 0) list.push(extension(OID.subjectAlternativeName, false, derSequence(...names)));
  return list;
}

function extension(oid: string, isCritical: boolean, value: Buffer): Buffer {
  return derSequence(encodeOid(oid), ...(isCritical ? [TRUE] : []), derOctetString(value));
}

function basicConstraints({ isCa, pathLength }: TestCertificateOptions): Buffer {
  if (!isCa) return derSequence();
  return pathLength === undefined
    ? derSequence(TRUE)
    : derSequence(TRUE, derUnsignedInteger(Buffer.from([pathLength])));
}

function keyUsageBits(usages: readonly KeyUsage[]): Buffer {
  const positions = usages.map((usage) => KEY_USAGE_BITS[usage]);
  const byte = positions.reduce((bits, position) => bits | (0x80 >> position), 0);
  const unusedBits = positions.length === 0 ? 0 : 7 - Math.max(...positions);
  return derElement(DER_TAG.bitString, Buffer.from(positions.length === 0 ? [0] : [unusedBits, byte]));
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha1').update(exportSpki(publicKey)).digest();
}

function distinguishedName(commonName: string): Buffer {
  const value = derElement(DER_TAG.utf8String, Buffer.from(commonName));
  return derSequence(derElement(DER_TAG.set, derSequence(encodeOid(OID.commonName), value)));
}
