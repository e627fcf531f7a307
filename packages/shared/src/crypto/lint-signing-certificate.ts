/** The last look before a signing certificate is signed: every MUST of X509-SVID sections 2 to 4 on those, and RFC 5280 section 4.2. */
import { BonafideError } from '../errors/bonafide-error.js';
import { trustDomainId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import { OID } from './der/object-identifier.js';
import { subjectKeyIdentifier } from './subject-public-key.js';
import { parseTbsCertificate } from './x509-certificate.js';

/** What was asked for and by whom it will be signed; nothing of it comes from the bytes under inspection. */
export interface SigningCertificateExpectation {
  readonly trustDomain: TrustDomain;
  /** Of the new authority, DER. */
  readonly spki: Buffer;
  /** Name of who signs, DER; its own when it signs itself. */
  readonly issuer: Buffer;
  /** Lower-case hex; undefined when the issuer has none, or is the certificate itself. */
  readonly issuerKeyId: string | undefined;
  readonly isSelfSigned: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const EXTENSIONS: ReadonlyMap<string, boolean> = new Map([
  [OID.keyUsage, true],
  [OID.basicConstraints, true],
  [OID.subjectKeyIdentifier, false],
  [OID.authorityKeyIdentifier, false],
  [OID.subjectAlternativeName, false],
]);
const EMPTY_NAME_BYTES = 2;

/** @throws BonafideError `internal`: whatever is wrong here is our own mistake, and must not be signed. */
export function lintSigningCertificate(tbs: Buffer, expected: SigningCertificateExpectation): void {
  const authority = parseTbsCertificate(tbs);
  const require = (isRight: boolean, what: string): void => {
    if (!isRight) throw new BonafideError('internal', `refusing to sign a signing certificate: ${what}`);
  };
  const { keyUsages, extensions, subjectPublicKey } = authority;

  // Section 3.2: a SPIFFE ID without a path.
  require(authority.uriNames.length === 1 &&
    authority.uriNames[0] === trustDomainId(expected.trustDomain), 'the URI name is not the trust domain');
  require(authority.dnsNames.length === 0, 'it has DNS names');
  require(authority.isCa, 'it is not a signing certificate');
  require(keyUsages?.size === 2 &&
    keyUsages.has('keyCertSign') &&
    keyUsages.has('cRLSign'), 'the key usage is not keyCertSign and cRLSign');
  for (const [type, { isCritical }] of extensions) {
    const wanted = EXTENSIONS.get(type);
    require(wanted !== undefined, 'it has other extensions than it should');
    require(wanted === isCritical, 'an extension is critical that should not be, or the other way round');
  }
  // RFC 5280 section 4.2.1.2: every CA certificate names its key.
  const keyId = subjectKeyIdentifier(subjectPublicKey.keyBits).toString('hex');
  require(authority.subjectKeyId === keyId, 'the subject key identifier is wrong');
  const issuerKeyId = expected.isSelfSigned ? keyId : expected.issuerKeyId;
  require(authority.authorityKeyId === issuerKeyId, 'the authority key identifier is wrong');
  require(subjectPublicKey.spki.equals(expected.spki), 'the key is not the one that was asked for');
  require(authority.issuer.equals(expected.issuer), 'the issuer is not who signs');
  require(authority.subject.length > EMPTY_NAME_BYTES, 'the subject is empty');
  require(authority.subject.equals(authority.issuer) ===
    expected.isSelfSigned, 'the subject is the issuer, or is not when it signs itself');
  require(isSameSecond(authority.notBefore, expected.notBefore) &&
    isSameSecond(authority.notAfter, expected.notAfter), 'the validity is not what was asked for');
  require(authority.notBefore < authority.notAfter, 'it ends before it begins');
  require(/[1-9a-f]/.test(authority.serialNumber), 'the serial number is zero');
}

/** Certificates know no parts of a second. */
function isSameSecond(written: Date, asked: Date): boolean {
  return written.getTime() === Math.floor(asked.getTime() / 1000) * 1000;
}
