import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';

const WORKLOAD = 'spiffe://example.org/ns/default/sa/web';

/** What the whole system delivers to a workload, read by openssl and Node and held against X509-SVID.md. */
describe('X509-SVID', () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  let leaf: X509Certificate;
  let authority: X509Certificate;
  let leafText: string;
  let authorityText: string;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    server = await launchServer({ directory: directory.path });
    agent = await launchAgent({ server, directory: directory.path });
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', WORKLOAD],
      ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`, '--dns', 'web.example.org'],
    );
    await waitFor('the SVID to be fetched', async () => {
      const { code } = await agent.command(['api', 'fetch', 'x509', '--write', directory.path]);
      return code === 0;
    });
    leafText = text('svid.0.pem');
    authorityText = text('bundle.0.pem');
    leaf = new X509Certificate(pem('svid.0.pem'));
    authority = new X509Certificate(pem('bundle.0.pem'));
  });

  afterAll(async () => {
    await agent.stop();
    await server.stop();
    directory.remove();
  });

  function pem(file: string): string {
    return execFileSync('openssl', ['x509', '-in', directory.join(file)], { encoding: 'utf8' });
  }

  function text(file: string): string {
    return execFileSync('openssl', ['x509', '-in', directory.join(file), '-noout', '-text'], {
      encoding: 'utf8',
    });
  }

  it('section 2: the SPIFFE ID is the one URI in the subject alternative names; DNS names may stand beside it', () => {
    expect(leaf.subjectAltName?.split(', ').sort()).toEqual(['DNS:web.example.org', `URI:${WORKLOAD}`]);
  });

  it('section 3.1: a leaf has a SPIFFE ID with a path', () => {
    expect(new URL(WORKLOAD).pathname).not.toBe('/');
    expect(leaf.ca).toBe(false);
  });

  it('section 3.2: a signing certificate has a SPIFFE ID without a path', () => {
    expect(authority.subjectAltName).toBe('URI:spiffe://example.org');
    expect(authority.ca).toBe(true);
  });

  it('section 4.1: basic constraints tell the signing certificate from the leaf', () => {
    expect(authorityText).toMatch(/Basic Constraints: critical\s+CA:TRUE/);
    expect(leafText).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
  });

  it('section 4.3: key usage is critical; a leaf signs data, never certificates, and a signing certificate the other way round', () => {
    expect(leafText).toMatch(/Key Usage: critical\s+Digital Signature\n/);
    expect(authorityText).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
  });

  it('section 4.4: the extended key usage of a leaf has server and client authentication', () => {
    expect(leaf.keyUsage).toEqual(expect.arrayContaining(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']));
  });

  it('section 5.1: the path from the leaf to the bundle validates by RFC 5280', () => {
    const arguments_ = ['verify', '-x509_strict', '-CAfile', directory.join('bundle.0.pem')];
    for (const purpose of ['sslserver', 'sslclient']) {
      const output = execFileSync(
        'openssl',
        [...arguments_, '-purpose', purpose, directory.join('svid.0.pem')],
        { encoding: 'utf8' },
      );
      expect(output).toContain('OK');
    }
  });

  it('section 5.1: a path to another authority does not', () => {
    const [key, other] = [directory.join('other.key'), directory.join('other.pem')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-subj',
        '/O=SPIFFE',
      ].concat(['-keyout', key, '-out', other]),
      { stdio: 'ignore' },
    );
    writeFileSync(directory.join('both.pem'), pem('svid.0.pem'));
    expect(() =>
      execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', other, directory.join('both.pem')], {
        stdio: 'ignore',
      }),
    ).toThrow();
  });
});

/** What verifiers of ours believe. */
describe('X509-SVID validation', () => {
  const WEB = 'spiffe://example.org/web';
  let authority: TestAuthority;

  beforeAll(async () => {
    authority = await TestAuthority.create('example.org');
  });

  async function verify(
    certificate: NonNullable<Parameters<TestAuthority['issueX509Svid']>[1]>['certificate'] = {},
    issuer = authority,
  ): Promise<string> {
    const { certificateChain: chain } = await issuer.issueX509Svid(WEB, { certificate });
    return verifyX509Svid({ chain, authorities: [authority.certificate], now: new Date() }).spiffeId;
  }

  it('section 2: a certificate with more than one URI, or with none, is refused', async () => {
    expect(await verify()).toBe(WEB);
    await expect(verify({ uriNames: [WEB, 'https://example.org/'] })).rejects.toThrow('more than one URI');
    await expect(verify({ uriNames: [] })).rejects.toThrow('no URI name');
  });

  it('section 3.2: a signing certificate authenticates nobody', () => {
    const chain = [authority.certificate];
    const evidence = { chain, authorities: [authority.certificate], now: new Date() };
    expect(() => verifyX509Svid(evidence)).toThrow();
  });

  it('section 5.1: the path is validated at a time, with its intermediates, and by the authorities given', async () => {
    const intermediate = await authority.createIntermediate();
    expect(await verify({}, intermediate)).toBe(WEB);
    await expect(verify({ notAfter: new Date(Date.now() - 1000) })).rejects.toThrow('expired');
    await expect(verify({ notBefore: new Date(Date.now() + 60_000) })).rejects.toThrow('not valid before');
    await expect(verify({}, await TestAuthority.create('example.org'))).rejects.toThrow();
  });

  it('section 5.2: a leaf with cA, keyCertSign or cRLSign is refused', async () => {
    await expect(verify({ isCa: true })).rejects.toThrow('signing certificate');
    for (const usage of ['keyCertSign', 'cRLSign'] as const) {
      await expect(verify({ keyUsages: ['digitalSignature', usage] })).rejects.toThrow(
        'keyCertSign or cRLSign',
      );
    }
  });

  it('section 4.3: a leaf whose key usage is absent or not critical is refused', async () => {
    await expect(verify({ keyUsages: undefined })).rejects.toThrow('key usage');
    await expect(verify({ isKeyUsageCritical: false })).rejects.toThrow(
      'key usage of the certificate is not critical',
    );
  });

  it('section 4.4: a leaf whose extended key usage lacks server or client authentication is refused; without the extension it is not', async () => {
    for (const purpose of ['serverAuth', 'clientAuth'] as const) {
      await expect(verify({ extendedKeyUsages: [purpose] })).rejects.toThrow(
        'lacks serverAuth or clientAuth',
      );
    }
    expect(await verify({ extendedKeyUsages: [] })).toBe(WEB);
  });

  it('section 5.2: a name that is no SPIFFE ID, or has no path, is refused', async () => {
    await expect(verify({ uriNames: ['https://example.org/web'] })).rejects.toThrow('not a SPIFFE ID');
    await expect(verify({ uriNames: ['spiffe://example.org'] })).rejects.toThrow('has no path');
  });
});
