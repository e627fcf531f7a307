/** The certificate that proves control of a name to an ACME authority (RFC 8737 section 3, tls-alpn-01). */
import { createHash } from 'node:crypto';
import type { CertificatePair } from '../../crypto/certificate-pair.js';
import { encodeDistinguishedName } from '../../crypto/der/distinguished-name.js';
import { derOctetString } from '../../crypto/der/der-writer.js';
import { OID } from '../../crypto/der/object-identifier.js';
import {
  encodeSubjectAlternativeNameExtension,
  encodeX509Extension,
} from '../../crypto/der/x509-extension.js';
import { generatePrivateKey } from '../../crypto/generate-key.js';
import { encodePem } from '../../crypto/pem.js';
import { exportPkcs8, exportSpki } from '../../crypto/private-key-encoding.js';
import { generateSerialNumber, signCertificate } from '../../crypto/sign-certificate.js';
import { createKeySigner } from '../../crypto/signer.js';

const LIFETIME_MS = 24 * 3600 * 1000;

export async function createValidationCertificate(
  domain: string,
  keyAuthorization: string,
  now: Date,
): Promise<CertificatePair> {
  const key = await generatePrivateKey('ec-p256');
  const name = encodeDistinguishedName({ commonName: 'ACME validation' });
  const digest = createHash('sha256').update(keyAuthorization).digest();
  const certificate = await signCertificate(
    {
      serialNumber: generateSerialNumber(),
      issuer: name,
      subject: name,
      spki: exportSpki(key),
      notBefore: new Date(now.getTime() - LIFETIME_MS),
      notAfter: new Date(now.getTime() + LIFETIME_MS),
      extensions: [
        encodeSubjectAlternativeNameExtension({ uriNames: [], dnsNames: [domain] }, false),
        encodeX509Extension(OID.acmeIdentifier, true, derOctetString(digest)),
      ],
    },
    createKeySigner(key),
  );
  return { cert: encodePem('CERTIFICATE', certificate), key: encodePem('PRIVATE KEY', exportPkcs8(key)) };
}
