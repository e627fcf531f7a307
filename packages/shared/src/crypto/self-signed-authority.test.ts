import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { formatDistinguishedName } from './der/distinguished-name.js';
import { generatePrivateKey } from './generate-key.js';
import { KEY_TYPES } from './key-type.js';
import { OID } from './der/object-identifier.js';
import { encodePem } from './pem.js';
import { createSelfSignedAuthority } from './self-signed-authority.js';
import { createKeySigner } from './signer.js';
import { verifySignatureSync } from './signature-algorithm.js';
import { parseX509Certificate } from './x509-certificate.js';

const trustDomain = parseTrustDomain('example.org');
const notBefore = new Date('2020-01-01T00:00:00Z');
const notAfter = new Date('2049-01-01T00:00:00Z');

describe.each(KEY_TYPES)('a self-signed authority with a key of type %s', (keyType) => {
  it('is a signing certificate as X509-SVID asks, and openssl agrees', async () => {
    const signer = createKeySigner(await generatePrivateKey(keyType));
    const der = await createSelfSignedAuthority({ trustDomain, signer, notBefore, notAfter });
    const authority = parseX509Certificate(der);
    expect(authority).toMatchObject({
      notBefore,
      notAfter,
      spiffeId: 'spiffe://example.org',
      isCa: true,
      pathLength: undefined,
    });
    expect(authority.keyUsages).toEqual(new Set(['keyCertSign', 'cRLSign']));
    expect(authority.issuer).toEqual(authority.subject);
    expect(authority.subjectKeyId).toMatch(/^[0-9a-f]{40}$/);
    expect(authority.authorityKeyId).toBe(authority.subjectKeyId);
    expect(authority.extensions.get(OID.keyUsage)?.isCritical).toBe(true);
    expect(authority.extensions.get(OID.basicConstraints)?.isCritical).toBe(true);
    expect(
      verifySignatureSync({
        algorithm: authority.signatureAlgorithm,
        publicKey: signer.publicKey,
        data: authority.tbs,
        signature: authority.signature,
      }),
    ).toBe(true);

    const folder = mkdtempSync(join(tmpdir(), 'bonafide-'));
    try {
      const file = join(folder, 'authority.pem');
      writeFileSync(file, encodePem('CERTIFICATE', der));
      const output = execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', file, file], {
        stdio: 'pipe',
      });
      expect(output.toString()).toContain('OK');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

it('gives each authority a subject of its own, unless told the whole of it', async () => {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  const create = (serialNumber?: string): Promise<Buffer> =>
    createSelfSignedAuthority({
      trustDomain,
      signer,
      notBefore,
      notAfter,
      subject: { commonName: 'root', serialNumber },
    });
  const [first, second] = [await create(), await create()];
  expect(parseX509Certificate(first).subject).not.toEqual(parseX509Certificate(second).subject);
  expect(formatDistinguishedName(parseX509Certificate(await create('7')).subject)).toBe(
    'CN=root,serialNumber=7',
  );
});
