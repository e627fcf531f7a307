/** Object identifiers by name: the hex of their content octets, as DerReader.readObjectIdentifier gives them. */
import { derObjectIdentifier } from './der-writer.js';

function contentHex(dotted: string): string {
  return derObjectIdentifier(dotted).subarray(2).toString('hex');
}

export const OID = {
  commonName: contentHex('2.5.4.3'),
  serialNumber: contentHex('2.5.4.5'),
  country: contentHex('2.5.4.6'),
  organization: contentHex('2.5.4.10'),
  organizationalUnit: contentHex('2.5.4.11'),
  uniqueIdentifier: contentHex('2.5.4.45'),
  subjectKeyIdentifier: contentHex('2.5.29.14'),
  keyUsage: contentHex('2.5.29.15'),
  subjectAlternativeName: contentHex('2.5.29.17'),
  basicConstraints: contentHex('2.5.29.19'),
  nameConstraints: contentHex('2.5.29.30'),
  crlDistributionPoints: contentHex('2.5.29.31'),
  certificatePolicies: contentHex('2.5.29.32'),
  authorityKeyIdentifier: contentHex('2.5.29.35'),
  extendedKeyUsage: contentHex('2.5.29.37'),
  authorityInformationAccess: contentHex('1.3.6.1.5.5.7.1.1'),
  acmeIdentifier: contentHex('1.3.6.1.5.5.7.1.31'),
  serverAuth: contentHex('1.3.6.1.5.5.7.3.1'),
  clientAuth: contentHex('1.3.6.1.5.5.7.3.2'),
  extensionRequest: contentHex('1.2.840.113549.1.9.14'),
  rsaEncryption: contentHex('1.2.840.113549.1.1.1'),
  sha256WithRsa: contentHex('1.2.840.113549.1.1.11'),
  sha384WithRsa: contentHex('1.2.840.113549.1.1.12'),
  sha512WithRsa: contentHex('1.2.840.113549.1.1.13'),
  ecPublicKey: contentHex('1.2.840.10045.2.1'),
  p256: contentHex('1.2.840.10045.3.1.7'),
  p384: contentHex('1.3.132.0.34'),
  p521: contentHex('1.3.132.0.35'),
  ecdsaWithSha256: contentHex('1.2.840.10045.4.3.2'),
  ecdsaWithSha384: contentHex('1.2.840.10045.4.3.3'),
  ecdsaWithSha512: contentHex('1.2.840.10045.4.3.4'),
} as const;

/** The whole element, tag and length included. */
export function encodeOid(contentHexText: string): Buffer {
  const content = Buffer.from(contentHexText, 'hex');
  return Buffer.concat([Buffer.from([0x06, content.length]), content]);
}
