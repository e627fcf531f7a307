/** TestAuthority makes certificates that other programs accept, so that what they refuse is refused for the reason under test. */
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { describe, expect, it } from 'vitest';
import { runProcess } from './run-command.js';
import { createTemporaryDirectory } from './temporary-directory.js';
import { TestAuthority } from './test-authority.js';

describe('TestAuthority', () => {
  it('issues SVIDs that openssl verifies strictly, through an intermediate too', async () => {
    using directory = createTemporaryDirectory();
    const root = await TestAuthority.create('example.org');
    const intermediate = await root.createIntermediate();
    for (const [name, authority] of [
      ['root', root],
      ['intermediate', intermediate],
    ] as const) {
      const svid = await authority.issueX509Svid('/web', { dnsNames: ['web.example.org'] });
      const [leaf, ...rest] = svid.certificateChain.map((der) => encodePem('CERTIFICATE', der));
      await writeFile(directory.join('ca.pem'), encodePem('CERTIFICATE', root.certificate));
      await writeFile(directory.join('leaf.pem'), leaf ?? '');
      await writeFile(directory.join('rest.pem'), rest.join(''));
      const untrusted = rest.length === 0 ? [] : ['-untrusted', directory.join('rest.pem')];
      const { code, stdout, stderr } = await runProcess('openssl', [
        ...['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', directory.join('ca.pem')],
        ...[...untrusted, directory.join('leaf.pem')],
      ]);
      expect({ name, code, stderr, ok: stdout.trim().endsWith('OK') }).toEqual({
        name,
        code: 0,
        stderr: '',
        ok: true,
      });
    }
  });

  it('writes the names and times it was told to', async () => {
    const authority = await TestAuthority.create('example.org');
    const notAfter = new Date('2031-05-06T07:08:09Z');
    const svid = await authority.issueX509Svid('/web', { notAfter });
    const certificate = new X509Certificate(svid.certificateChain[0] ?? Buffer.alloc(0));
    expect(certificate.subjectAltName).toBe('URI:spiffe://example.org/web');
    expect(new Date(certificate.validTo)).toEqual(notAfter);
    expect(certificate.checkPrivateKey(svid.privateKey)).toBe(true);
    expect(certificate.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
  });
});
