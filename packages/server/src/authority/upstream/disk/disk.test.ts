import type { KeyObject } from 'node:crypto';
import { chmod, rename, rm, writeFile } from 'node:fs/promises';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { verifyX509Authority } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { UpstreamAuthority, UpstreamContent } from '../upstream-authority.js';
import { disk } from './disk.js';

const trustDomain = parseTrustDomain('example.org');
const never = new AbortController().signal;

let directory: TemporaryDirectory;
let clock: FakeClock;
const warn = vi.fn();
const error = vi.fn();
const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn, error });

beforeEach(() => {
  directory = createTemporaryDirectory();
  clock = new FakeClock(new Date());
  warn.mockClear();
  error.mockClear();
});
afterEach(() => {
  directory.remove();
});

const pemKey = (key: KeyObject): string => String(key.export({ format: 'pem', type: 'pkcs8' }));
const pemChain = (chain: readonly Buffer[]): string =>
  chain.map((der) => encodePem('CERTIFICATE', der)).join('');

async function put(name: string, text: string, mode = 0o600): Promise<string> {
  const path = directory.join(name);
  await writeFile(`${path}.new`, text, { mode });
  await chmod(`${path}.new`, mode);
  await rename(`${path}.new`, path);
  return path;
}

interface Files {
  readonly key: string;
  readonly cert: string;
  readonly bundle?: string;
}

async function open({ key, cert, bundle }: Files, keyMode?: number): Promise<UpstreamAuthority> {
  const config = {
    key_file_path: await put('ca.key', key, keyMode),
    cert_file_path: await put('ca.crt', cert),
    ...(bundle === undefined ? {} : { bundle_file_path: await put('bundle.crt', bundle) }),
  };
  return disk.create(disk.configSchema.parse(config), { trustDomain, clock, log, environment: {} });
}

async function rootFiles(authority: TestAuthority): Promise<Files> {
  return Promise.resolve({ key: pemKey(authority.privateKey), cert: pemChain([authority.certificate]) });
}

async function request(preferredTtlSeconds = 3600): Promise<{ csr: Buffer; preferredTtlSeconds: number }> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  const csr = await createCertificateSigningRequest(signer, { uriNames: ['spiffe://example.org'] });
  return { csr, preferredTtlSeconds };
}

describe('the upstream authority on disk', () => {
  it('signs below a self-signed CA, which is the trust anchor', async () => {
    const root = await TestAuthority.create('example.org');
    const upstream = await open(await rootFiles(root));
    const { certificateChain, upstreamRoots } = await upstream.mintX509Authority(await request(), never);
    expect(certificateChain).toHaveLength(1);
    expect(upstreamRoots).toEqual([{ certificate: root.certificate, isTainted: false }]);
    expect(parseX509Certificate(certificateChain[0])).toMatchObject({
      spiffeId: 'spiffe://example.org',
      isCa: true,
    });
    expect(warn).not.toHaveBeenCalled();
  });

  it('signs below an intermediate CA, and sends everything but the trust anchor', async () => {
    const root = await TestAuthority.create('example.org');
    const middle = await root.createIntermediate();
    const upstream = await open({
      key: pemKey(middle.privateKey),
      cert: pemChain([middle.certificate, root.certificate]),
      bundle: pemChain([root.certificate]),
    });
    const { certificateChain, upstreamRoots } = await upstream.mintX509Authority(await request(), never);
    expect(certificateChain.slice(1)).toEqual([middle.certificate]);
    const authorities = upstreamRoots.map(({ certificate }) => certificate);
    expect(authorities).toEqual([root.certificate]);
    verifyX509Authority({ chain: certificateChain, authorities, now: clock.now(), trustDomain });
  });

  it.each([
    ['PKCS#1', () => makeKeyPair('rsa', { modulusLength: 2048 }).privateKey, 'pkcs1'],
    ['SEC 1', () => makeKeyPair('ec', { namedCurve: 'P-384' }).privateKey, 'sec1'],
  ] as const)('takes a key in %s', async (_form, generate, type) => {
    const key = generate();
    const now = clock.now();
    const certificate = await createSelfSignedAuthority({
      trustDomain,
      signer: createKeySigner(key),
      notBefore: new Date(Math.floor(now.getTime() / 1000) * 1000 - 1000),
      notAfter: new Date(Math.floor(now.getTime() / 1000) * 1000 + 3_600_000),
    });
    const keyText = String(
      type === 'pkcs1' ? key.export({ format: 'pem', type }) : key.export({ format: 'pem', type }),
    );
    const upstream = await open({ key: keyText, cert: pemChain([certificate]) });
    await upstream.mintX509Authority(await request(60), never);
  });

  it('never signs for longer than the CA or its chain lives', async () => {
    const soon = new Date(Math.floor(Date.now() / 1000) * 1000 + 100_000);
    const root = await TestAuthority.create('example.org', { notAfter: soon });
    const upstream = await open(await rootFiles(root));
    const { certificateChain } = await upstream.mintX509Authority(await request(), never);
    expect(parseX509Certificate(certificateChain[0]).notAfter).toEqual(soon);
    clock.jumpWallClock(101_000);
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toThrow('expired at');
  });

  it('refuses files that do not belong together, and says which', async () => {
    const root = await TestAuthority.create('example.org');
    const other = await TestAuthority.create('example.org');
    const middle = await root.createIntermediate();
    const key = pemKey(root.privateKey);
    const cert = pemChain([root.certificate]);
    const leaf = await root.issueX509Svid('/web');
    const foreign = await TestAuthority.create('example.com');
    const limited = await TestAuthority.create('example.org', { pathLength: 0 });
    const expired = await TestAuthority.create('example.org', { notAfter: new Date(Date.now() - 1000) });
    const cases: readonly (readonly [Files, RegExp])[] = [
      [{ key: pemKey(other.privateKey), cert }, /^key_file_path .*does not belong/],
      [{ key: 'nothing', cert }, /^key_file_path .*no private key/],
      [{ key, cert: 'nothing' }, /^cert_file_path .*no PEM block/],
      [{ key, cert: cert + cert }, /^cert_file_path .*more than one certificate/],
      [{ key, cert, bundle: 'nothing' }, /^bundle_file_path .*no PEM block/],
      [{ key, cert, bundle: pemChain([other.certificate]) }, /^cert_file_path .*does not lead|wrong/],
      [
        { key: pemKey(middle.privateKey), cert: pemChain([middle.certificate]) },
        /^cert_file_path .*not self-signed/,
      ],
      [
        { key: pemKey(leaf.privateKey), cert: pemChain(leaf.certificateChain), bundle: cert },
        /^cert_file_path .*not a signing certificate/,
      ],
      [await rootFiles(foreign), /^cert_file_path .*trust domain example.com/],
      [await rootFiles(limited), /^cert_file_path .*path length 0/],
      [await rootFiles(expired), /^cert_file_path .*expired/],
    ];
    for (const [files, problem] of cases) await expect(open(files)).rejects.toThrow(problem);
    await rm(directory.join('ca.key'));
    const config = { key_file_path: directory.join('ca.key'), cert_file_path: directory.join('ca.crt') };
    await expect(disk.create(config, { trustDomain, clock, log, environment: {} })).rejects.toThrow(
      /^key_file_path .*ENOENT/,
    );
  });

  it('warns of a key that others may read', async () => {
    await open(await rootFiles(await TestAuthority.create('example.org')), 0o644);
    expect(warn.mock.calls[0]?.[1]).toContain('0600');
  });

  it('reads the files anew when they change, keeps on while they are broken, and publishes new roots', async () => {
    const first = await TestAuthority.create('example.org');
    const second = await TestAuthority.create('example.org');
    const upstream = await open(await rootFiles(first));
    const contents: UpstreamContent[] = [];
    const stop = new AbortController();
    const following = upstream.follow((content) => {
      contents.push(content);
      return Promise.resolve();
    }, stop.signal);
    const rootsSeen = (): readonly Buffer[] =>
      contents.map(({ x509Roots }) => x509Roots[0]?.certificate ?? Buffer.of());
    await vi.waitFor(
      () => {
        expect(rootsSeen()).toEqual([first.certificate]);
      },
      { timeout: 30_000 },
    );

    await put('ca.key', pemKey(second.privateKey)); // the certificate is still the first one's
    const { certificateChain } = await upstream.mintX509Authority(await request(), never);
    verifyX509Authority({
      chain: certificateChain,
      authorities: [first.certificate],
      now: clock.now(),
      trustDomain,
    });
    expect(error).toHaveBeenCalledTimes(1);
    expect(String(error.mock.calls[0]?.[1])).toMatch(/goes on: key_file_path .*does not belong/);

    await put('ca.crt', pemChain([second.certificate]));
    await vi.waitFor(
      async () => {
        await clock.advance(2_000);
        expect(rootsSeen()).toEqual([first.certificate, second.certificate]);
      },
      { timeout: 30_000 },
    );
    const minted = await upstream.mintX509Authority(await request(), never);
    expect(minted.upstreamRoots[0]?.certificate).toEqual(second.certificate);
    stop.abort();
    await following;
  });
});
