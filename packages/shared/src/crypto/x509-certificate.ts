/** X.509 v3 certificates (RFC 5280 section 4.1), read strictly: one certificate, DER, nothing after it. */
import type { KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import { DerReader } from './der/der-reader.js';
import { contextTag, DER_TAG } from './der/der-tag.js';
import { checkDistinguishedName } from './der/distinguished-name.js';
import { parseSubjectAlternativeNames } from './der/general-names.js';
import { OID } from './der/object-identifier.js';
import { parseSignatureAlgorithm, type SignatureAlgorithm } from './signature-algorithm.js';
import {
  importSubjectPublicKeySync,
  parseSubjectPublicKey,
  type SubjectPublicKey,
} from './subject-public-key.js';
import {
  parseAuthorityKeyIdentifier,
  parseBasicConstraints,
  parseExtendedKeyUsages,
  parseKeyUsages,
  parseSubjectKeyIdentifier,
  parseX509Extensions,
  type KeyUsage,
  type X509Extension,
} from './der/x509-extension.js';

const MAX_CERTIFICATE_BYTES = 64 * 1024;
const MAX_SERIAL_NUMBER_BYTES = 20;
const SUBJECT = 'certificate';

/** A well-formed certificate; whether to believe it is for `verify-x509-svid.ts` to say. */
export interface X509Certificate {
  readonly der: Buffer;
  /** What the signature covers. */
  readonly tbs: Buffer;
  /** Lower-case hex without leading zero bytes. */
  readonly serialNumber: string;
  /** Name, DER; `formatDistinguishedName` makes text of it. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subjectPublicKey: SubjectPublicKey;
  readonly uriNames: readonly string[];
  readonly dnsNames: readonly string[];
  /** The only URI name, when it is a SPIFFE ID; undefined otherwise. */
  readonly spiffeId: SpiffeId | undefined;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  /** Undefined: the extension is absent. */
  readonly keyUsages: ReadonlySet<KeyUsage> | undefined;
  /** Object identifiers as in `OID`. Undefined: the extension is absent. */
  readonly extendedKeyUsages: ReadonlySet<string> | undefined;
  /** Lower-case hex. */
  readonly subjectKeyId: string | undefined;
  /** Lower-case hex. */
  readonly authorityKeyId: string | undefined;
  readonly extensions: ReadonlyMap<string, X509Extension>;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Buffer;
  /** Imported when first asked for. @throws BonafideError `invalid_argument` when the key's numbers are impossible. */
  readonly publicKey: KeyObject;
}

/** @throws BonafideError `invalid_argument` naming what is malformed or unsupported. */
export function parseX509Certificate(bytes: Uint8Array): X509Certificate {
  return parseCertificate(bytes, parseTbsCertificate);
}

/**
 * Also takes version 1, which has no extensions and with which nobody is an authority: simple tools still certify devices so.
 * @throws BonafideError `invalid_argument`.
 */
export function parseDeviceCertificate(bytes: Uint8Array): X509Certificate {
  return parseCertificate(bytes, (tbs) => parseBody(tbs, true));
}

function parseCertificate(bytes: Uint8Array, parseTbs: (tbs: Buffer) => TbsCertificate): X509Certificate {
  if (bytes.length > MAX_CERTIFICATE_BYTES)
    throw invalidArgument(`certificate is longer than ${MAX_CERTIFICATE_BYTES} bytes`);
  const der = Buffer.from(bytes); // a copy, so that nobody changes what was checked
  const outer = new DerReader(der, SUBJECT);
  const certificate = outer.enter(DER_TAG.sequence, 'certificate');
  outer.expectEnd('certificate');
  const tbs = certificate.readElement(DER_TAG.sequence, 'body');
  const identifier = certificate.readElement(DER_TAG.sequence, 'signature algorithm');
  const signature = certificate.readBitString('signature');
  certificate.expectEnd('certificate');

  const body = parseTbs(tbs);
  if (!body.signatureIdentifier.equals(identifier))
    throw certificate.malformed('signature algorithm', 'is not the one inside the body');
  let publicKey: KeyObject | undefined;
  return {
    ...body,
    der,
    signatureAlgorithm: parseSignatureAlgorithm(identifier),
    signature,
    get publicKey() {
      publicKey ??= importSubjectPublicKeySync(body.subjectPublicKey);
      return publicKey;
    },
  };
}

/** A TBSCertificate before or after signing; `signatureIdentifier` is its AlgorithmIdentifier, DER. */
export type TbsCertificate = Omit<
  X509Certificate,
  'der' | 'signature' | 'signatureAlgorithm' | 'publicKey'
> & {
  readonly signatureIdentifier: Buffer;
};

/** @throws BonafideError `invalid_argument`. */
export function parseTbsCertificate(tbs: Buffer): TbsCertificate {
  return parseBody(tbs, false);
}

function parseBody(tbs: Buffer, allowsVersion1: boolean): TbsCertificate {
  const outer = new DerReader(tbs, SUBJECT);
  const body = outer.enter(DER_TAG.sequence, 'body');
  outer.expectEnd('body');
  const version = body.nextTag() === contextTag(0) ? body.enter(contextTag(0), 'version') : undefined;
  const isVersion1 = version === undefined; // DEFAULT v1: written out, it would not be DER
  if (isVersion1 ? !allowsVersion1 : version.readSmallInteger('version') !== 2)
    throw body.malformed('version', 'is not 3');
  version?.expectEnd('version');
  const serialNumber = formatSerialNumber(body.readInteger('serial number'), body);
  const signatureIdentifier = body.readElement(DER_TAG.sequence, 'signature algorithm');
  const issuer = body.readElement(DER_TAG.sequence, 'issuer');
  checkDistinguishedName(issuer, SUBJECT, 'issuer');
  const validity = body.enter(DER_TAG.sequence, 'validity');
  const notBefore = validity.readTime('notBefore');
  const notAfter = validity.readTime('notAfter');
  validity.expectEnd('validity');
  const subject = body.readElement(DER_TAG.sequence, 'subject');
  checkDistinguishedName(subject, SUBJECT, 'subject');
  const subjectPublicKey = parseSubjectPublicKey(body.readElement(DER_TAG.sequence, 'public key'), SUBJECT);
  // issuerUniqueID and subjectUniqueID must not be used (RFC 5280 section 4.1.2.8), but a reader has to step over them.
  for (const tag of [contextTag(1, false), contextTag(2, false)]) {
    if (!isVersion1 && body.nextTag() === tag) body.readElement(tag, 'unique identifier');
  }
  const extensions =
    isVersion1 || body.isAtEnd() ? NO_EXTENSIONS : readExtensions(body.enter(contextTag(3), 'extensions'));
  body.expectEnd('body');
  const value = (type: string): Buffer | undefined => extensions.get(type)?.value;
  const read = <T>(type: string, parse: (value: Buffer, subject: string) => T): T | undefined => {
    const found = value(type);
    return found === undefined ? undefined : parse(found, SUBJECT);
  };
  const names = read(OID.subjectAlternativeName, parseSubjectAlternativeNames);
  const constraints = read(OID.basicConstraints, parseBasicConstraints);
  const uriNames = names?.uriNames ?? [];
  return {
    tbs,
    serialNumber,
    signatureIdentifier,
    issuer,
    subject,
    notBefore,
    notAfter,
    subjectPublicKey,
    uriNames,
    dnsNames: names?.dnsNames ?? [],
    spiffeId: onlySpiffeId(uriNames),
    isCa: constraints?.isCa ?? false,
    pathLength: constraints?.pathLength,
    keyUsages: read(OID.keyUsage, parseKeyUsages),
    extendedKeyUsages: read(OID.extendedKeyUsage, parseExtendedKeyUsages),
    subjectKeyId: read(OID.subjectKeyIdentifier, parseSubjectKeyIdentifier)?.toString('hex'),
    authorityKeyId: read(OID.authorityKeyIdentifier, parseAuthorityKeyIdentifier)?.toString('hex'),
    extensions,
  };
}

const NO_EXTENSIONS: ReadonlyMap<string, X509Extension> = new Map();

function readExtensions(wrapper: DerReader): ReadonlyMap<string, X509Extension> {
  const extensions = wrapper.readElement(DER_TAG.sequence, 'extensions');
  wrapper.expectEnd('extensions');
  return parseX509Extensions(extensions, SUBJECT);
}

function formatSerialNumber(content: Buffer, reader: DerReader): string {
  const magnitude = content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
  const isNegative = ((content[0] ?? 0) & 0x80) !== 0;
  // RFC 5280 section 4.1.2.2: positive, at most 20 octets; zero is met in old roots and does no harm.
  if (isNegative || content.length > MAX_SERIAL_NUMBER_BYTES + 1)
    throw reader.malformed('serial number', 'is negative or longer than 20 bytes');
  return magnitude.toString('hex');
}

function onlySpiffeId(uriNames: readonly string[]): SpiffeId | undefined {
  const [name] = uriNames;
  if (name === undefined || uriNames.length !== 1 || !name.startsWith('spiffe://')) return undefined;
  return parseSpiffeId(name);
}
