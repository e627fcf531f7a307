/** A trust domain's signing certificate under somebody else's (X509-SVID sections 3.2 and 4, RFC 5280): what an upstream authority hands out. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { trustDomainId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import type { VerifiedCsr } from './certificate-signing-request.js';
import { encodeDistinguishedName, type DistinguishedName } from './der/distinguished-name.js';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
} from './der/x509-extension.js';
import { lintSigningCertificate } from './lint-signing-certificate.js';
import { generateSerialNumber, signCertificate } from './sign-certificate.js';
import type { Signer } from './signer.js';
import { subjectKeyIdentifier } from './subject-public-key.js';
import type { X509Certificate } from './x509-certificate.js';

export interface IntermediateAuthorityContent {
  readonly trustDomain: TrustDomain;
  /** Of the new authority; only its key is used. */
  readonly csr: VerifiedCsr;
  readonly issuer: X509Certificate;
  /** Of the issuer's key. */
  readonly signer: Signer;
  readonly notBefore: Date;
  /** Not after the issuer's. */
  readonly notAfter: Date;
  /** Its serial number is filled in when absent, so that every authority has a name of its own. */
  readonly subject?: DistinguishedName | undefined;
}

const DEFAULT_SUBJECT: DistinguishedName = { country: ['US'], organization: ['SPIFFE'] };

/**
 * DER. Without a path length of its own: how deep a trust domain is nested is for those above to limit, and their limits hold below.
 * @throws BonafideError `invalid_argument` when what it signs could not be believed.
 */
export function createIntermediateAuthority(content: IntermediateAuthorityContent): Promise<Buffer> {
  const { trustDomain, csr, issuer, signer, notBefore, notAfter, subject = DEFAULT_SUBJECT } = content;
  if (!issuer.isCa || issuer.keyUsages?.has('keyCertSign') === false)
    throw invalidArgument('the issuer is not a signing certificate');
  if (issuer.pathLength === 0)
    throw invalidArgument('the issuer allows no authority below it (path length 0)');
  if (notAfter > issuer.notAfter) throw invalidArgument('the authority would outlive its issuer');
  if (notAfter <= notBefore) throw invalidArgument('the authority would end before it begins');
  const serialNumber = generateSerialNumber();
  const name = encodeDistinguishedName({
    ...subject,
    serialNumber: subject.serialNumber ?? BigInt(`0x${serialNumber.toString('hex')}`).toString(),
  });
  const extensions = [
    encodeKeyUsages(['keyCertSign', 'cRLSign']),
    encodeBasicConstraints({ isCa: true, pathLength: undefined }),
    encodeSubjectKeyIdentifier(subjectKeyIdentifier(csr.keyBits)),
    // RFC 5280 section 4.2.1.1: the issuer's own identifier, however it came by it; without one there is nothing to refer to.
    ...(issuer.subjectKeyId === undefined
      ? []
      : [encodeAuthorityKeyIdentifier(Buffer.from(issuer.subjectKeyId, 'hex'))]),
    encodeSubjectAlternativeNameExtension({ uriNames: [trustDomainId(trustDomain)], dnsNames: [] }, false),
  ];
  return signCertificate(
    {
      serialNumber,
      issuer: issuer.subject,
      subject: name,
      spki: csr.spki,
      notBefore,
      notAfter,
      extensions,
    },
    signer,
    (tbs) => {
      const { subject: issuerName, subjectKeyId: issuerKeyId } = issuer;
      const issued = { trustDomain, spki: csr.spki, issuer: issuerName, issuerKeyId, isSelfSigned: false };
      lintSigningCertificate(tbs, { ...issued, notBefore, notAfter });
    },
  );
}
