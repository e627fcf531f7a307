/** The last look before signing: reads back what will be signed and checks every MUST of X509-SVID sections 2 to 4 and RFC 5280. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import type { SignatureAlgorithm } from '@bonafide/shared/crypto/signature-algorithm';
import { subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import { parseTbsCertificate, type TbsCertificate } from '@bonafide/shared/crypto/x509-certificate';
import { pathOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

/** What was asked for and by whom it will be signed; nothing of it comes from the bytes under inspection. */
export interface X509SvidExpectation {
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  /** The SPKI of the verified CSR, DER. */
  readonly spki: Buffer;
  readonly algorithm: SignatureAlgorithm;
  /** Name of the authority, DER. */
  readonly issuer: Buffer;
  /** Lower-case hex. */
  readonly authorityKeyId: string;
  /** Exactly what the requester is told. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly authorityNotAfter: Date;
}

const EXTENSIONS: ReadonlyMap<string, { readonly name: string; readonly isCritical: boolean }> = new Map([
  [OID.keyUsage, { name: 'key usage', isCritical: true }],
  [OID.extendedKeyUsage, { name: 'extended key usage', isCritical: false }],
  [OID.basicConstraints, { name: 'basic constraints', isCritical: true }],
  [OID.authorityKeyIdentifier, { name: 'authority key identifier', isCritical: false }],
  [OID.subjectKeyIdentifier, { name: 'subject key identifier', isCritical: false }],
  // Critical only when the subject is empty (X509-SVID section 3.1), which ours never is.
  [OID.subjectAlternativeName, { name: 'subject alternative name', isCritical: false }],
]);
const EMPTY_NAME_BYTES = 2;

/** @throws BonafideError `internal`: whatever is wrong here is our own mistake, and must not be signed. */
export function lintX509Svid(tbs: Buffer, expected: X509SvidExpectation): TbsCertificate {
  const svid = parseTbsCertificate(tbs);
  const require = (isRight: boolean, what: string): void => {
    if (!isRight) throw new BonafideError('internal', `refusing to sign an X.509-SVID: ${what}`);
  };

  require(svid.uriNames.length === 1, 'not exactly one URI name');
  require(svid.uriNames[0] === expected.spiffeId, 'the URI name is not the SPIFFE ID of the request');
  require(pathOf(expected.spiffeId) !== '', 'the SPIFFE ID has no path');
  require(equalLists(svid.dnsNames, expected.dnsNames), 'the DNS names are not those of the request');

  require(!svid.isCa && svid.pathLength === undefined, 'it is a signing certificate');
  require(svid.keyUsages?.size === 1 &&
    svid.keyUsages.has('digitalSignature'), 'the key usage is not digitalSignature alone');
  const usages = svid.extendedKeyUsages;
  require(usages?.size === 2 &&
    usages.has(OID.serverAuth) &&
    usages.has(OID.clientAuth), 'the extended key usage is not serverAuth and clientAuth');

  require(svid.extensions.size === EXTENSIONS.size, 'it has other extensions than it should');
  for (const [type, { name, isCritical }] of EXTENSIONS) {
    const extension = svid.extensions.get(type);
    require(extension !== undefined, `it has no ${name}`);
    require(extension?.isCritical === isCritical, `the ${name} is ${isCritical ? 'not ' : ''}critical`);
  }

  require(svid.notBefore.getTime() === expected.notBefore.getTime(), 'it does not begin when it should');
  require(svid.notAfter.getTime() === expected.notAfter.getTime(), 'it does not end when it should');
  require(svid.notAfter <= expected.authorityNotAfter, 'it outlives its authority');
  require(svid.notBefore < svid.notAfter, 'it ends before it begins');

  const { spki, keyBits, kind } = svid.subjectPublicKey;
  require(spki.equals(expected.spki), 'the key is not that of the CSR');
  require(kind !== 'ec-p521', 'the key type is not accepted');
  require(svid.subjectKeyId ===
    subjectKeyIdentifier(keyBits).toString('hex'), 'the subject key identifier is wrong');
  require(svid.authorityKeyId === expected.authorityKeyId, 'the authority key identifier is wrong');
  require(svid.issuer.equals(expected.issuer), 'the issuer is not the authority');
  require(svid.subject.length > EMPTY_NAME_BYTES, 'the subject is empty');
  require(svid.signatureIdentifier.equals(expected.algorithm.identifier), 'the signature algorithm is wrong');
  require(isGoodSerialNumber(svid.serialNumber), 'the serial number is not positive or longer than 20 bytes');
  return svid;
}

/** RFC 5280 section 4.1.2.2, and at least 64 bits so that it can be unpredictable. */
function isGoodSerialNumber(hex: string): boolean {
  const hasSignByte = parseInt(hex.slice(0, 2), 16) >= 0x80;
  const bytes = hex.length / 2 + (hasSignByte ? 1 : 0);
  return bytes >= 8 && bytes <= 20 && !/^0+$/.test(hex);
}

function equalLists(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}
