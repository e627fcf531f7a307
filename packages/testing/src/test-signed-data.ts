/** PKCS#7 signatures for tests, in the forms in which EC2 and Azure write them, and wrong on purpose in every part. */
import { createHash, sign } from 'node:crypto';
import { contextTag, DER_TAG } from '@bonafide/shared/crypto/der/der-tag';
import {
  derElement,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derUnsignedInteger,
} from '@bonafide/shared/crypto/der/der-writer';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { TestParty } from './test-party.js';

export interface TestSignedDataWish {
  /** With an RSA key. */
  readonly signer: TestParty;
  readonly content: Buffer;
  /** In the place of `content`, after signing; null: left out. */
  readonly carried?: Buffer | null;
  /** As EC2 has them: content type, time and digest. Azure has none. */
  readonly withAttributes?: boolean;
  /** In the place of the three. */
  readonly attributes?: readonly Buffer[];
  /** DER. */
  readonly certificates?: readonly Buffer[];
  /** Azure names the signature algorithm where the digest belongs. */
  readonly digestAlgorithm?: string;
  readonly signatureAlgorithm?: string;
  /** More SignerInfo elements. */
  readonly moreSigners?: readonly Buffer[];
  readonly unsignedAttributes?: Buffer;
}

export const PKCS7 = {
  signedData: '1.2.840.113549.1.7.2',
  data: '1.2.840.113549.1.7.1',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  rsa: '1.2.840.113549.1.1.1',
  sha256WithRsa: '1.2.840.113549.1.1.11',
} as const;

const ONE = derUnsignedInteger(Buffer.from([1]));

/** DER. */
export function createTestSignedData(wish: TestSignedDataWish): Buffer {
  const { content, carried = content, certificates = [], moreSigners = [] } = wish;
  const encapsulated = derSequence(
    derObjectIdentifier(PKCS7.data),
    ...(carried === null ? [] : [derElement(contextTag(0), derOctetString(carried))]),
  );
  const body = derSequence(
    ONE,
    derElement(DER_TAG.set, algorithm(wish.digestAlgorithm ?? PKCS7.sha256)),
    encapsulated,
    ...(certificates.length === 0 ? [] : [derElement(contextTag(0), ...certificates)]),
    derElement(DER_TAG.set, createTestSignerInfo(wish), ...moreSigners),
  );
  return derSequence(derObjectIdentifier(PKCS7.signedData), derElement(contextTag(0), body));
}

export function createTestSignerInfo(wish: TestSignedDataWish): Buffer {
  const { signer, content, withAttributes = false, attributes, unsignedAttributes } = wish;
  const { issuer, serialNumber } = parseX509Certificate(signer.certificate);
  const signed =
    attributes ?? (withAttributes ? [contentTypeAttribute(), digestAttribute(content)] : undefined);
  const covered = signed === undefined ? content : derElement(DER_TAG.set, ...signed);
  return derSequence(
    ONE,
    derSequence(issuer, derUnsignedInteger(Buffer.from(serialNumber, 'hex'))),
    algorithm(wish.digestAlgorithm ?? PKCS7.sha256),
    ...(signed === undefined ? [] : [derElement(contextTag(0), ...signed)]),
    algorithm(wish.signatureAlgorithm ?? PKCS7.rsa),
    derOctetString(sign('sha256', covered, signer.privateKey)),
    ...(unsignedAttributes === undefined ? [] : [derElement(contextTag(1), unsignedAttributes)]),
  );
}

export function contentTypeAttribute(type: string = PKCS7.data): Buffer {
  return attribute(PKCS7.contentType, derObjectIdentifier(type));
}

export function digestAttribute(content: Buffer): Buffer {
  return attribute(PKCS7.messageDigest, derOctetString(createHash('sha256').update(content).digest()));
}

export function attribute(type: string, ...values: readonly Buffer[]): Buffer {
  return derSequence(derObjectIdentifier(type), derElement(DER_TAG.set, ...values));
}

function algorithm(name: string): Buffer {
  return derSequence(derObjectIdentifier(name), derElement(DER_TAG.null));
}

const END_MARK = Buffer.from([0, 0]);
const OUTERMOST = 4;

/** As EC2 writes it: the outer elements without a length, and the content in pieces. */
export function withoutLengths(der: Buffer, pieceBytes = 200): Buffer {
  return rewrite(der, 0, pieceBytes);
}

function rewrite(element: Buffer, depth: number, pieceBytes: number): Buffer {
  const [tag = 0, first = 0] = element;
  const content = element.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f));
  if (depth > 2 && tag === DER_TAG.octetString) {
    const pieces: Buffer[] = [];
    for (let start = 0; start < content.length; start += pieceBytes)
      pieces.push(derOctetString(content.subarray(start, start + pieceBytes)));
    return Buffer.concat([Buffer.from([0x24, 0x80]), ...pieces, END_MARK]);
  }
  const isOuter = depth <= OUTERMOST && (tag === DER_TAG.sequence || tag === contextTag(0));
  if (!isOuter) return element;
  const parts: Buffer[] = [];
  for (let start = 0; start < content.length;) {
    const length = elementLength(content.subarray(start));
    parts.push(rewrite(content.subarray(start, start + length), depth + 1, pieceBytes));
    start += length;
  }
  return Buffer.concat([Buffer.from([tag, 0x80]), ...parts, END_MARK]);
}

function elementLength(bytes: Buffer): number {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return 2 + first;
  const count = first & 0x7f;
  return 2 + count + bytes.readUIntBE(2, count);
}
