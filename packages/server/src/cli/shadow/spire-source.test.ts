import { writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadIdentityFiles, type IdentityFiles } from './identity-files.js';
import { SpireSource, type SpireSourceFlags } from './spire-source.js';

const ADDRESS = { spireAddress: 'spire.example.org:8081' };
const FILES = { spireSvid: 'svid.pem', spireKey: 'key.pem', spireBundle: 'bundle.pem' };
const never = new AbortController().signal;

let directory: TemporaryDirectory;
let authority: TestAuthority;
let files: IdentityFiles;

beforeEach(async () => {
  directory = createTemporaryDirectory();
  authority = await TestAuthority.create('example.org');
  files = await writeIdentity('admin');
});
afterEach(() => {
  directory.remove();
});

async function writeIdentity(name: string): Promise<IdentityFiles> {
  const { certificateChain, privateKey } = await authority.issueX509Svid(`/${name}`);
  const [svid, key, bundle] = [`${name}.pem`, `${name}.key`, 'bundle.pem'].map((file) =>
    directory.join(file),
  );
  const paths = { svid: svid ?? '', key: key ?? '', bundle: bundle ?? '' };
  await writeFile(paths.svid, certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''));
  await writeFile(paths.key, encodePem('PRIVATE KEY', exportPkcs8(privateKey)), { mode: 0o600 });
  await writeFile(paths.bundle, encodePem('CERTIFICATE', authority.certificate));
  return paths;
}

describe("the flags that say where SPIRE's server is", () => {
  const refused: readonly (readonly [string, SpireSourceFlags, string])[] = [
    ['none', {}, '--spire-socket is missing'],
    [
      'a socket and an address',
      { ...ADDRESS, ...FILES, spireSocket: '/s' },
      'expected one of --spire-socket',
    ],
    ['an address alone', ADDRESS, '--spire-address needs the SVID of an admin'],
    ['an address with a key alone', { ...ADDRESS, spireKey: 'key.pem' }, 'go together'],
    ['an SVID for a socket', { ...FILES, spireSocket: '/s' }, 'an SVID is for --spire-address'],
    ['files and an agent', { ...ADDRESS, ...FILES, spireWorkloadApi: '/a' }, 'expected either'],
    ...[
      'spire.example',
      'spire.example:0',
      'spire.example:65536',
      '::1:8081',
      'http://spire:80',
      'a b:80',
    ].map((spireAddress) => [spireAddress, { ...FILES, spireAddress }, 'expected HOST:PORT'] as const),
  ];
  it.each(refused)('are refused: %s', (_name, flags, message) => {
    expect(() => new SpireSource(flags)).toThrow(message);
  });

  it.each(['spire.example:8081', '192.0.2.1:8081', '[2001:db8::1]:8081'])(
    'take the address %s',
    (spireAddress) => {
      expect(() => new SpireSource({ ...FILES, spireAddress })).not.toThrow();
    },
  );

  it('are refused with an SVID of another trust domain, before anybody is asked', async () => {
    const { svid: spireSvid, key: spireKey, bundle: spireBundle } = files;
    const source = new SpireSource({ ...ADDRESS, spireSvid, spireKey, spireBundle });
    const asked = source.ask(parseTrustDomain('other.example'), never, () => Promise.resolve());
    await expect(asked).rejects.toThrow('expected one of trust domain other.example');
  });
});

describe('the files of an SVID', () => {
  it('are an identity', async () => {
    const { spiffeId, certificateChain, authorities } = await loadIdentityFiles(files);
    expect(spiffeId).toBe('spiffe://example.org/admin');
    expect(certificateChain).toHaveLength(1);
    expect(authorities).toEqual([authority.certificate]);
  });

  it('are refused with the flag and the file, and without what a key file holds', async () => {
    const { key: otherKey } = await writeIdentity('other');
    const empty = directory.join('empty.pem');
    await writeFile(empty, 'not PEM at all');
    const cases: readonly (readonly [Partial<IdentityFiles>, string])[] = [
      [{ key: files.svid }, `--spire-key ${files.svid}: no private key`],
      [{ key: empty }, `--spire-key ${empty}: no private key`],
      [{ key: otherKey }, 'does not belong to the first certificate'],
      [{ svid: directory.join('missing') }, `--spire-svid ${directory.join('missing')}: ENOENT`],
      [{ svid: files.bundle }, `--spire-svid ${files.bundle}: `],
      [{ bundle: empty }, `--spire-bundle ${empty}: `],
      [{ bundle: files.key }, `--spire-bundle ${files.key}: `],
    ];
    for (const [other, message] of cases) {
      const error: unknown = await loadIdentityFiles({ ...files, ...other }).catch(
        (thrown: unknown) => thrown,
      );
      expect(String(error)).toContain(message);
      expect(String(error)).not.toMatch(/[A-Za-z0-9+/]{40}/);
    }
  });
});
