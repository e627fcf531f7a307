/** Object identifiers by name: the hex of their content octets, as DerReader.readObjectIdentifier gives them. */
import { derObjectIdentifier } from './der-writer.js';

/** What `OID` has by name, of any other: `2.5.29.9`. */
export function objectIdentifierHex(dotted: string): string {
  return derObjectIdentifier(dotted).subarray(2).toString('hex');
}

export const OID = {
  commonName: objectIdentifierHex('2.5.4.3'),
  serialNumber: objectIdentifierHex('2.5.4.5'),
  country: objectIdentifierHex('2.5.4.6'),
  organization: objectIdentifierHex('2.5.4.10'),
  organizationalUnit: objectIdentifierHex('2.5.4.11'),
  uniqueIdentifier: objectIdentifierHex('2.5.4.45'),
  subjectKeyIdentifier: objectIdentifierHex('2.5.29.14'),
  keyUsage: objectIdentifierHex('2.5.29.15'),
  subjectAlternativeName: objectIdentifierHex('2.5.29.17'),
  basicConstraints: objectIdentifierHex('2.5.29.19'),
  nameConstraints: objectIdentifierHex('2.5.29.30'),
  crlDistributionPoints: objectIdentifierHex('2.5.29.31'),
  certificatePolicies: objectIdentifierHex('2.5.29.32'),
  authorityKeyIdentifier: objectIdentifierHex('2.5.29.35'),
  extendedKeyUsage: objectIdentifierHex('2.5.29.37'),
  anyExtendedKeyUsage: objectIdentifierHex('2.5.29.37.0'),
  authorityInformationAccess: objectIdentifierHex('1.3.6.1.5.5.7.1.1'),
  acmeIdentifier: objectIdentifierHex('1.3.6.1.5.5.7.1.31'),
  serverAuth: objectIdentifierHex('1.3.6.1.5.5.7.3.1'),
  clientAuth: objectIdentifierHex('1.3.6.1.5.5.7.3.2'),
  extensionRequest: objectIdentifierHex('1.2.840.113549.1.9.14'),
  rsaEncryption: objectIdentifierHex('1.2.840.113549.1.1.1'),
  sha256WithRsa: objectIdentifierHex('1.2.840.113549.1.1.11'),
  sha384WithRsa: objectIdentifierHex('1.2.840.113549.1.1.12'),
  sha512WithRsa: objectIdentifierHex('1.2.840.113549.1.1.13'),
  ecPublicKey: objectIdentifierHex('1.2.840.10045.2.1'),
  p256: objectIdentifierHex('1.2.840.10045.3.1.7'),
  p384: objectIdentifierHex('1.3.132.0.34'),
  p521: objectIdentifierHex('1.3.132.0.35'),
  ecdsaWithSha256: objectIdentifierHex('1.2.840.10045.4.3.2'),
  ecdsaWithSha384: objectIdentifierHex('1.2.840.10045.4.3.3'),
  ecdsaWithSha512: objectIdentifierHex('1.2.840.10045.4.3.4'),
} as const;

/** The whole element, tag and length included. */
export function encodeOid(contentHexText: string): Buffer {
  const content = Buffer.from(contentHexText, 'hex');
  return Buffer.concat([Buffer.from([0x06, content.length]), content]);
}
