/** PKCS#10 certification requests (RFC 2986): parsed strictly, verified for possession of the key, and created. */
import { KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { DerReader } from './der/der-reader.js';
import { derBitString, derElement, derSequence, derUnsignedInteger } from './der/der-writer.js';
import { contextTag, DER_TAG } from './der/der-tag.js';
import {
  checkDistinguishedName,
  encodeDistinguishedName,
  type DistinguishedName,
} from './der/distinguished-name.js';
import { parseSubjectAlternativeNames, type SubjectAlternativeNames } from './der/general-names.js';
import { keyTypeOf } from './key-type.js';
import { encodeOid, OID } from './der/object-identifier.js';
import { exportSpki } from './private-key-encoding.js';
import type { Signer } from './signer.js';
import {
  parseSignatureAlgorithm,
  signatureAlgorithmFor,
  signWithKey,
  verifySignature,
  verifySignatureSync,
  type SignatureAlgorithm,
  type SigningPlace,
} from './signature-algorithm.js';
import {
  importSubjectPublicKey,
  parseSubjectPublicKey,
  unsupportedPublicKey,
  type SubjectPublicKey,
} from './subject-public-key.js';
import { encodeSubjectAlternativeNameExtension, parseX509Extensions } from './der/x509-extension.js';

export const MAX_CSR_BYTES = 16 * 1024;
const SUBJECT = 'CSR';

/** Well-formed; nothing in it is proven until `verifyCertificateSigningRequest` says so. */
export interface CertificateSigningRequest extends SubjectAlternativeNames {
  readonly der: Buffer;
  /** CertificationRequestInfo, DER: what the signature covers. */
  readonly tbs: Buffer;
  readonly publicKey: SubjectPublicKey;
  readonly spki: Buffer;
  /** Name, DER. */
  readonly subject: Buffer;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Buffer;
}

declare const verifiedCsr: unique symbol;

/** What a CSR proved: its sender holds the private key of `spki`. Only `verifyCertificateSigningRequest` makes one. */
export interface VerifiedCsr {
  readonly [verifiedCsr]: true;
  readonly publicKey: KeyObject;
  readonly spki: Buffer;
  /** The content of the SPKI's BIT STRING. */
  readonly keyBits: Buffer;
  readonly keyKind: SubjectPublicKey['kind'];
}

/** @throws BonafideError `invalid_argument` naming what is malformed, or the keys and algorithms that are accepted. */
export function parseCertificateSigningRequest(bytes: Uint8Array): CertificateSigningRequest {
  if (bytes.length > MAX_CSR_BYTES) throw invalidArgument(`CSR is longer than ${MAX_CSR_BYTES} bytes`);
  const der = Buffer.from(bytes); // a copy, so that nobody changes what is about to be verified
  const outer = new DerReader(der, SUBJECT);
  const request = outer.enter(DER_TAG.sequence, 'request');
  outer.expectEnd('request');
  const tbs = request.readElement(DER_TAG.sequence, 'request info');
  const signatureAlgorithm = parseSignatureAlgorithm(
    request.readElement(DER_TAG.sequence, 'signature algorithm'),
  );
  const signature = request.readBitString('signature');
  request.expectEnd('request');

  const info = new DerReader(tbs, SUBJECT).enter(DER_TAG.sequence, 'request info');
  if (info.readSmallInteger('version') !== 0) throw info.malformed('version', 'is not 1');
  const subject = info.readElement(DER_TAG.sequence, 'subject');
  checkDistinguishedName(subject, SUBJECT, 'subject');
  const publicKey = parseSubjectPublicKey(info.readElement(DER_TAG.sequence, 'public key'), SUBJECT);
  // Certificates of others may have it; SVIDs of ours do not.
  if (publicKey.kind === 'ec-p521') throw unsupportedPublicKey(SUBJECT);
  const names = info.isAtEnd() ? NO_NAMES : readAttributes(info.enter(contextTag(0), 'attributes'));
  info.expectEnd('request info');
  return { der, tbs, publicKey, spki: publicKey.spki, subject, signatureAlgorithm, signature, ...names };
}

/** @throws BonafideError `invalid_argument` when the signature is not by the key of the request. */
export async function verifyCertificateSigningRequest(
  csr: CertificateSigningRequest,
  place: SigningPlace = 'thread_pool',
): Promise<VerifiedCsr> {
  const { signatureAlgorithm: algorithm, tbs: data, signature } = csr;
  const publicKey = await importSubjectPublicKey(csr.publicKey);
  const verify = place === 'this_thread' ? verifySignatureSync : verifySignature;
  if (!(await verify({ algorithm, publicKey, data, signature }))) {
    throw invalidArgument('the signature of the CSR is not by the key in it');
  }
  const { spki, keyBits, kind: keyKind } = csr.publicKey;
  return { publicKey, spki, keyBits, keyKind } as VerifiedCsr;
}

export interface CertificateSigningRequestContent {
  readonly uriNames?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly subject?: DistinguishedName;
}

/**
 * DER; signs on the thread pool.
 * @param key the private key, or the right to sign with it.
 * @throws BonafideError `invalid_argument` for a key that is none of `KEY_TYPES`.
 */
export async function createCertificateSigningRequest(
  key: KeyObject | Signer,
  { uriNames = [], dnsNames = [], subject = {} }: CertificateSigningRequestContent = {},
): Promise<Buffer> {
  const keyType = key instanceof KeyObject ? keyTypeOf(key) : key.keyType;
  if (keyType === undefined)
    throw invalidArgument('a CSR needs a key of EC P-256, EC P-384, RSA 2048 or RSA 4096');
  const algorithm = signatureAlgorithmFor(keyType);
  const attributes: Buffer[] = [];
  if (uriNames.length + dnsNames.length > 0) {
    const isSubjectEmpty = Object.keys(subject).length === 0;
    const extensions = derSequence(
      encodeSubjectAlternativeNameExtension({ uriNames, dnsNames }, isSubjectEmpty),
    );
    attributes.push(derSequence(encodeOid(OID.extensionRequest), derElement(DER_TAG.set, extensions)));
  }
  const tbs = derSequence(
    derUnsignedInteger(Buffer.from([0])),
    encodeDistinguishedName(subject),
    exportSpki(key instanceof KeyObject ? key : key.publicKey),
    derElement(contextTag(0), ...attributes),
  );
  const signature = await (key instanceof KeyObject
    ? signWithKey(key, tbs, algorithm.hash)
    : key.sign(tbs, algorithm.hash));
  return derSequence(tbs, algorithm.identifier, derBitString(signature));
}

const NO_NAMES: SubjectAlternativeNames = { uriNames: [], dnsNames: [] };

function readAttributes(attributes: DerReader): SubjectAlternativeNames {
  let names = NO_NAMES;
  let hasExtensions = false;
  while (!attributes.isAtEnd()) {
    const attribute = attributes.enter(DER_TAG.sequence, 'attribute');
    const type = attribute.readObjectIdentifier('attribute type');
    const values = attribute.enter(DER_TAG.set, 'attribute values');
    attribute.expectEnd('attribute');
    if (values.isAtEnd()) throw values.malformed('attribute', 'has no value');
    const value = values.readAny('attribute value');
    if (type === OID.extensionRequest) {
      if (hasExtensions) throw values.malformed('attributes', 'ask for extensions twice');
      hasExtensions = true;
      values.expectEnd('extension request');
      const extension = parseX509Extensions(value, SUBJECT).get(OID.subjectAlternativeName);
      if (extension !== undefined) names = parseSubjectAlternativeNames(extension.value, SUBJECT);
    }
    while (!values.isAtEnd()) values.readAny('attribute value');
  }
  return names;
}
