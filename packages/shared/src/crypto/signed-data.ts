/** CMS SignedData (RFC 5652 section 5, which is PKCS#7 as cloud providers sign documents with it): one signer, the content inside. */
import { invalidArgument } from '../errors/bonafide-error.js';
import type { DerReader } from './der/der-reader.js';
import { enterOnly } from './der/der-reader.js';
import { contextTag, DER_TAG } from './der/der-tag.js';
import { derElement, derObjectIdentifier } from './der/der-writer.js';
import { toDefiniteForm } from './der/definite-form.js';
import { checkDistinguishedName } from './der/distinguished-name.js';
import type { SignatureHash } from './signature-algorithm.js';

export interface SignedData {
  /** Not to be read before `verifySignedData` returned it. */
  readonly unverifiedContent: Buffer;
  /** DER, in the order in which they came; the signer's need not be the first, nor among them. */
  readonly certificates: readonly Buffer[];
  readonly signer: SignerInfo;
}

/** RFC 5652 section 5.3. */
export interface SignerInfo {
  /** Name, DER. */
  readonly issuer: Buffer;
  /** Lower-case hex without leading zero bytes, as of `X509Certificate`. */
  readonly serialNumber: string;
  readonly hash: SignatureHash;
  /** What the signature covers in place of the content; undefined: it covers the content itself. */
  readonly signedAttributes: SignedAttributes | undefined;
  readonly signature: Buffer;
}

interface SignedAttributes {
  /** SET OF, DER: what is signed (RFC 5652 section 5.4). */
  readonly der: Buffer;
  readonly messageDigest: Buffer;
}

const SUBJECT = 'PKCS#7 signature';
const MAX_BYTES = 64 * 1024;
const MAX_CERTIFICATES = 8;
const MAX_ATTRIBUTES = 16;

const oid = (dotted: string): string => derObjectIdentifier(dotted).subarray(2).toString('hex');
const SIGNED_DATA = oid('1.2.840.113549.1.7.2');
const DATA = oid('1.2.840.113549.1.7.1');
const CONTENT_TYPE = oid('1.2.840.113549.1.9.3');
const MESSAGE_DIGEST = oid('1.2.840.113549.1.9.4');
const RSA_ENCRYPTION = oid('1.2.840.113549.1.1.1');

const RSA_WITH: Readonly<Record<string, SignatureHash>> = {
  [oid('1.2.840.113549.1.1.11')]: 'sha256',
  [oid('1.2.840.113549.1.1.12')]: 'sha384',
  [oid('1.2.840.113549.1.1.13')]: 'sha512',
};
/** Azure names the signature algorithm where the digest belongs. */
const DIGESTS: Readonly<Record<string, SignatureHash>> = {
  [oid('2.16.840.1.101.3.4.2.1')]: 'sha256',
  [oid('2.16.840.1.101.3.4.2.2')]: 'sha384',
  [oid('2.16.840.1.101.3.4.2.3')]: 'sha512',
  ...RSA_WITH,
};

/** @throws BonafideError `invalid_argument` saying what is malformed, or not of the one form that is accepted. */
export function parseSignedData(bytes: Buffer): SignedData {
  if (bytes.length > MAX_BYTES) throw invalidArgument(`the ${SUBJECT} is longer than ${MAX_BYTES} bytes`);
  const outer = enterOnly(toDefiniteForm(bytes, SUBJECT), DER_TAG.sequence, SUBJECT);
  if (outer.readObjectIdentifier('content type') !== SIGNED_DATA)
    throw outer.malformed('content type', 'is not signed data');
  const wrapper = outer.enter(contextTag(0), 'signed data');
  outer.expectEnd('content');
  const body = wrapper.enter(DER_TAG.sequence, 'signed data');
  wrapper.expectEnd('signed data');
  const version = body.readSmallInteger('version');
  if (version < 1 || version > 5) throw body.malformed('version', 'is not 1 to 5');
  body.readElement(DER_TAG.set, 'digest algorithms'); // the signer's own is the one that counts
  const unverifiedContent = readContent(body.enter(DER_TAG.sequence, 'signed content'));
  const certificates =
    body.nextTag() === contextTag(0) ? readCertificates(body.enter(contextTag(0), 'certificates')) : [];
  const signers = body.enter(DER_TAG.set, 'signers');
  body.expectEnd('signed data');
  const signer = readSigner(signers.enter(DER_TAG.sequence, 'signer'));
  if (!signers.isAtEnd()) throw signers.malformed('signers', 'are more than one');
  return { unverifiedContent, certificates, signer };
}

function readContent(reader: DerReader): Buffer {
  if (reader.readObjectIdentifier('signed content type') !== DATA)
    throw reader.malformed('signed content type', 'is not data');
  if (reader.isAtEnd()) throw reader.malformed('signed content', 'is not in it');
  const wrapper = reader.enter(contextTag(0), 'signed content');
  reader.expectEnd('signed content');
  const content = wrapper.readContent(DER_TAG.octetString, 'signed content');
  wrapper.expectEnd('signed content');
  return content;
}

function readCertificates(reader: DerReader): readonly Buffer[] {
  const certificates: Buffer[] = [];
  while (!reader.isAtEnd()) {
    if (certificates.length === MAX_CERTIFICATES)
      throw reader.malformed('certificates', `are more than ${MAX_CERTIFICATES}`);
    certificates.push(reader.readElement(DER_TAG.sequence, 'certificate'));
  }
  return certificates;
}

function readSigner(reader: DerReader): SignerInfo {
  if (reader.readSmallInteger('signer version') !== 1)
    throw reader.malformed('signer', 'is not named by issuer and serial number');
  const identifier = reader.enter(DER_TAG.sequence, 'signer');
  const issuer = identifier.readElement(DER_TAG.sequence, 'issuer of the signer');
  checkDistinguishedName(issuer, SUBJECT, 'issuer of the signer');
  const serial = identifier.readInteger('serial number of the signer');
  identifier.expectEnd('signer');
  const hash = DIGESTS[readAlgorithm(reader, 'digest algorithm')];
  if (hash === undefined) throw reader.malformed('digest algorithm', 'is not SHA-256, SHA-384 or SHA-512');
  const signedAttributes =
    reader.nextTag() === contextTag(0)
      ? readSignedAttributes(reader.readContent(contextTag(0), 'signed attributes'))
      : undefined;
  const algorithm = readAlgorithm(reader, 'signature algorithm');
  if (algorithm !== RSA_ENCRYPTION && RSA_WITH[algorithm] !== hash)
    throw reader.malformed('signature algorithm', 'is not RSA (PKCS#1 v1.5) with the digest');
  const signature = reader.readContent(DER_TAG.octetString, 'signature');
  if (!reader.isAtEnd()) throw reader.malformed('signer', 'has unsigned attributes');
  const magnitude = serial.length > 1 && serial[0] === 0 ? serial.subarray(1) : serial;
  return { issuer, serialNumber: magnitude.toString('hex'), hash, signedAttributes, signature };
}

/** Its object identifier. The parameters of all of ours are NULL or absent. */
function readAlgorithm(reader: DerReader, field: string): string {
  const algorithm = reader.enter(DER_TAG.sequence, field);
  const name = algorithm.readObjectIdentifier(field);
  if (!algorithm.isAtEnd() && algorithm.readContent(DER_TAG.null, field).length > 0)
    throw algorithm.malformed(field, 'has parameters');
  algorithm.expectEnd(field);
  return name;
}

/** RFC 5652 section 11: content type and digest must be there, each once and with one value. */
function readSignedAttributes(content: Buffer): SignedAttributes {
  const der = derElement(DER_TAG.set, content);
  const reader = enterOnly(der, DER_TAG.set, SUBJECT);
  const attributes = new Map<string, DerReader>();
  while (!reader.isAtEnd()) {
    const attribute = reader.enter(DER_TAG.sequence, 'signed attribute');
    const type = attribute.readObjectIdentifier('type of a signed attribute');
    const values = attribute.enter(DER_TAG.set, 'values of a signed attribute');
    attribute.expectEnd('signed attribute');
    if (attributes.has(type)) throw reader.malformed('signed attributes', 'have one twice');
    if (attributes.size === MAX_ATTRIBUTES)
      throw reader.malformed('signed attributes', `are more than ${MAX_ATTRIBUTES}`);
    attributes.set(type, values);
  }
  const contentType = attributes.get(CONTENT_TYPE);
  const digest = attributes.get(MESSAGE_DIGEST);
  if (contentType === undefined || digest === undefined)
    throw reader.malformed('signed attributes', 'lack the content type or the digest');
  if (contentType.readObjectIdentifier('signed content type') !== DATA)
    throw contentType.malformed('signed content type', 'is not data');
  contentType.expectEnd('signed content type');
  const messageDigest = digest.readContent(DER_TAG.octetString, 'digest');
  digest.expectEnd('digest');
  return { der, messageDigest };
}
