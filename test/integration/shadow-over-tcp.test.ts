/** `shadow --spire-address`: the other server is asked under an admin's SVID; one of ours stands for SPIRE's. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import { decodePem, encodePem } from '@bonafide/shared/crypto/pem';
import { parsePrivateKeyPem } from '@bonafide/shared/crypto/private-key-pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ADMIN = 'spiffe://example.org/admin';

interface Files {
  readonly svid: string;
  readonly key: string;
  readonly bundle: string;
}

describe('a server that is asked over TCP', () => {
  let directory: TemporaryDirectory;
  let source: LaunchedServer;
  let here: LaunchedServer;
  let address: string;
  let admin: Files;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    const config = { server: { admin_ids: [ADMIN] } };
    source = await launchServer({ directory: directory.path, name: 'source', config });
    here = await launchServer({ directory: directory.path, name: 'here' });
    address = `127.0.0.1:${source.port}`;
    const parent = ['--parent-id', 'spiffe://example.org/spire/agent/join_token/one'];
    const entry = ['--spiffe-id', 'spiffe://example.org/web', '--selector', 'unix:uid:1000'];
    await source.commandOutput('entry', 'create', ...parent, ...entry);
    admin = await mint(ADMIN);
  });
  afterAll(async () => {
    await source[Symbol.asyncDispose]();
    await here[Symbol.asyncDispose]();
    directory.remove();
  });

  it('tells an admin, by the files of an SVID or by a Workload API, what it tells at its socket', async () => {
    await using api = await TestWorkloadApi.start(directory.join('agent.sock'));
    api.serve({
      svids: [await svidIn(admin)],
      bundles: [parseBundlePem(parseTrustDomain('example.org'), await readFile(admin.bundle, 'utf8'))],
    });
    const bySocket = await look('--spire-socket', source.socketPath);
    expect(bySocket.stdout).toContain('(spiffe://example.org/web) is at SPIRE and not here');
    expect(bySocket.code).toBe(1);
    for (const identity of [flagsOf(admin), ['--spire-workload-api', `unix://${api.socketPath}`]]) {
      expect(await look('--spire-address', address, ...identity)).toEqual(bySocket);
    }
  });

  it('tells nobody who is not an admin', async () => {
    const { code, stderr } = await lookUnder(await mint('spiffe://example.org/web'));
    expect(stderr).toContain('authorization denied');
    expect(code).toBe(1);
  });

  it('is not asked unless it is the server that the bundle knows', async () => {
    const bundle = directory.join('other-bundle.pem');
    const { certificate } = await TestAuthority.create('example.org');
    await writeFile(bundle, encodePem('CERTIFICATE', certificate));
    const { code, stderr } = await lookUnder({ ...admin, bundle });
    expect(stderr).toContain(`cannot reach the server at ${address}`);
    expect(code).toBe(1);
  });

  it('publishes the authorities of the other when it is told to, each once', async () => {
    const path = directory.join('here.json');
    await writeFile(path, await here.commandOutput('bundle', 'show', '--format', 'spiffe'));
    for (const time of ['first', 'second']) {
      const printed = await source.commandOutput('bundle', 'append', '--format', 'spiffe', '--path', path);
      expect(printed, time).toBe('bundle appended.\n');
    }
    const published = await source.commandOutput('bundle', 'show');
    const authorities = decodePem('CERTIFICATE', await here.commandOutput('bundle', 'show'));
    const all = decodePem('CERTIFICATE', published);
    expect(all).toHaveLength(
      authorities.length + decodePem('CERTIFICATE', await readFile(admin.bundle, 'utf8')).length,
    );
    for (const authority of authorities) expect(all).toContainEqual(authority);
  });

  async function mint(spiffeId: string): Promise<Files> {
    const folder = directory.join(`svid${new URL(spiffeId).pathname.replace('/', '-')}`);
    await mkdir(folder, { recursive: true });
    await source.commandOutput('x509', 'mint', '--spiffe-id', spiffeId, '--write', folder);
    const [svid, key, bundle] = ['svid.pem', 'key.pem', 'bundle.pem'].map((name) => join(folder, name));
    return { svid: svid ?? '', key: key ?? '', bundle: bundle ?? '' };
  }

  async function svidIn({ svid, key }: Files): Promise<X509Svid> {
    const certificateChain = decodePem('CERTIFICATE', await readFile(svid, 'utf8'));
    const { notBefore, notAfter } = parseX509Certificate(certificateChain[0] ?? Buffer.alloc(0));
    const privateKey = parsePrivateKeyPem(await readFile(key, 'utf8'));
    return {
      spiffeId: parseSpiffeId(ADMIN),
      certificateChain,
      privateKey,
      notBefore,
      notAfter,
      hint: undefined,
    };
  }

  function flagsOf({ svid, key, bundle }: Files): readonly string[] {
    return ['--spire-svid', svid, '--spire-key', key, '--spire-bundle', bundle];
  }

  function lookUnder(files: Files): ReturnType<LaunchedServer['command']> {
    return look('--spire-address', address, ...flagsOf(files));
  }

  function look(...flags: readonly string[]): ReturnType<LaunchedServer['command']> {
    return here.command('shadow', ...flags, '--once', '--interval', '1');
  }
});
