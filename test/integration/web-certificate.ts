/** A TLS certificate as a web server has it, with the root that signed it, for tests that speak HTTPS by name. */
import { createTestCertificate } from '@bonafide/testing/test-certificate';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';

interface WebCertificate {
  readonly cert: string;
  readonly key: string;
  /** PEM of the root. */
  readonly root: string;
}

export async function createWebCertificate(...dnsNames: readonly string[]): Promise<WebCertificate> {
  const [rootKey, key] = await Promise.all([generatePrivateKey('ec-p256'), generatePrivateKey('ec-p256')]);
  const now = Date.now();
  const common = {
    issuerName: 'web root',
    issuerPublicKey: rootKey,
    signingKey: rootKey,
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 3_600_000),
    uriNames: [],
    pathLength: undefined,
  };
  const root = createTestCertificate({
    ...common,
    publicKey: rootKey,
    subjectName: 'web root',
    dnsNames: [],
    keyUsages: ['keyCertSign'],
    isCa: true,
    extendedKeyUsages: [],
  });
  const leaf = createTestCertificate({
    ...common,
    publicKey: key,
    subjectName: 'web server',
    dnsNames,
    keyUsages: ['digitalSignature'],
    isCa: false,
    extendedKeyUsages: ['serverAuth', 'clientAuth'],
  });
  return {
    cert: encodePem('CERTIFICATE', leaf),
    key: encodePem('PRIVATE KEY', exportPkcs8(key)),
    root: encodePem('CERTIFICATE', root),
  };
}
