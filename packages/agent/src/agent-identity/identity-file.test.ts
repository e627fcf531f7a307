import { readFile, stat, writeFile } from 'node:fs/promises';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { describe, expect, it } from 'vitest';
import { BundleFile } from './bundle-file.js';
import { IdentityFile } from './identity-file.js';

const authority = await TestAuthority.create('example.org');
const trustDomain = parseTrustDomain('example.org');
const svid = await authority.issueX509Svid('/spire/agent/join_token/abc');

describe('IdentityFile', () => {
  it('brings back the SVID with its key, from a file that only its owner can read', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('agent-svid.json');
    const file = new IdentityFile({ path, trustDomain, log: silentLogger });
    expect(await file.load()).toBeUndefined();
    await file.save({ svid, canReattest: true });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const loaded = await file.load();
    expect(loaded?.canReattest).toBe(true);
    expect(loaded?.svid.spiffeId).toBe(svid.spiffeId);
    expect(loaded?.svid.privateKey.equals(svid.privateKey)).toBe(true);
    await file.delete();
    await file.delete();
    expect(await file.load()).toBeUndefined();
  });

  it('ignores a damaged file, an SVID of another trust domain and one that is no agent’s', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('agent-svid.json');
    const file = new IdentityFile({ path, trustDomain, log: silentLogger });
    await file.save({ svid, canReattest: false });
    const text = await readFile(path, 'utf8');
    for (const damaged of ['', '{}', text.slice(0, 300), text.replace('false', '0'), `${text}x`]) {
      await writeFile(path, damaged);
      expect(await file.load()).toBeUndefined();
    }
    await file.save({ svid: await authority.issueX509Svid('/web'), canReattest: false });
    expect(await file.load()).toBeUndefined();
    const foreign = await TestAuthority.create('other.test');
    await file.save({ svid: await foreign.issueX509Svid('/spire/agent/join_token/abc'), canReattest: false });
    expect(await file.load()).toBeUndefined();
  });
});

describe('BundleFile', () => {
  it('brings back the authorities, and ignores what is damaged or empty', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('trust-bundle.json');
    const file = new BundleFile({ path, trustDomain, log: silentLogger });
    expect(await file.load()).toBeUndefined();
    await file.save(authority.bundle());
    expect((await file.load())?.x509Authorities).toEqual(authority.bundle().x509Authorities);
    for (const damaged of [
      '',
      '{"keys":[]}',
      '[]',
      '{"keys":[{"use":"x509-svid","kty":"EC","x5c":["AAAA"]}]}',
    ]) {
      await writeFile(path, damaged);
      expect(await file.load()).toBeUndefined();
    }
  });
});
