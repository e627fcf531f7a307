/** A trust domain's own root: a self-signed signing certificate (X509-SVID sections 3.2 and 4, RFC 5280). */
import { trustDomainId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import { encodeDistinguishedName, type DistinguishedName } from './der/distinguished-name.js';
import { lintSigningCertificate } from './lint-signing-certificate.js';
import { exportSpki } from './private-key-encoding.js';
import { generateSerialNumber, signCertificate } from './sign-certificate.js';
import type { Signer } from './signer.js';
import { parseSubjectPublicKey, subjectKeyIdentifier } from './subject-public-key.js';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
} from './der/x509-extension.js';

export interface SelfSignedAuthorityContent {
  readonly trustDomain: TrustDomain;
  readonly signer: Signer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Its serial number is filled in when absent, so that every authority has a name of its own. */
  readonly subject?: DistinguishedName | undefined;
}

const DEFAULT_AUTHORITY_SUBJECT: DistinguishedName = { country: ['US'], organization: ['SPIFFE'] };

/** DER. */
export function createSelfSignedAuthority(content: SelfSignedAuthorityContent): Promise<Buffer> {
  const { trustDomain, signer, notBefore, notAfter, subject = DEFAULT_AUTHORITY_SUBJECT } = content;
  const serialNumber = generateSerialNumber();
  const name = encodeDistinguishedName({
    ...subject,
    serialNumber: subject.serialNumber ?? BigInt(`0x${serialNumber.toString('hex')}`).toString(),
  });
  const spki = exportSpki(signer.publicKey);
  const keyId = subjectKeyIdentifier(parseSubjectPublicKey(spki, 'public key').keyBits);
  const names = { uriNames: [trustDomainId(trustDomain)], dnsNames: [] };
  const extensions = [
    encodeKeyUsages(['keyCertSign', 'cRLSign']),
    encodeBasicConstraints({ isCa: true, pathLength: undefined }),
    encodeSubjectKeyIdentifier(keyId),
    encodeAuthorityKeyIdentifier(keyId),
    encodeSubjectAlternativeNameExtension(names, false),
  ];
  return signCertificate(
    { serialNumber, issuer: name, subject: name, spki, notBefore, notAfter, extensions },
    signer,
    (tbs) => {
      const issued = { trustDomain, spki, issuer: name, issuerKeyId: undefined, isSelfSigned: true };
      lintSigningCertificate(tbs, { ...issued, notBefore, notAfter });
    },
  );
}
