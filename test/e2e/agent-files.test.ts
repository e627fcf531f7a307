/** An agent that writes files itself: helpers by SPIFFE ID, and entries with storeSvid in a store of directories; and tokens by a helper. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { programPath } from '@bonafide/testing/program-path';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect, it } from 'vitest';
import { LIMIT_MS } from './file-domain.js';

const TEST_LIMIT_MS = 600_000;
const NODE = 'spiffe://example.org/node';

function serialOf(folder: string): string {
  const certificate = new X509Certificate(readFileSync(join(folder, 'svid.pem')));
  const key = createPrivateKey(readFileSync(join(folder, 'svid_key.pem')));
  expect(certificate.checkPrivateKey(key)).toBe(true);
  return certificate.serialNumber;
}

async function register(
  server: LaunchedServer,
  path: string,
  selector: string,
  ...options: readonly string[]
): Promise<string> {
  const output = await server.commandOutput(
    ...['entry', 'create', '--parent-id', NODE, '--spiffe-id', `spiffe://example.org/${path}`],
    ...['--selector', selector, '--x509-svid-ttl', '12', '--jwt-svid-ttl', '12', ...options],
  );
  return /^Entry ID\s*: (\S+)$/m.exec(output)?.[1] ?? '';
}

function tokenClaims(path: string): { readonly sub: string; readonly aud: readonly string[] } {
  const [, payload = ''] = readFileSync(path, 'utf8').split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as ReturnType<typeof tokenClaims>;
}

function trustDomainsIn(bundleFile: string): readonly string[] {
  return Object.keys(JSON.parse(readFileSync(bundleFile, 'utf8')) as object);
}

it(
  'writes, renews and removes what its entries say, and hands stored SVIDs to no caller',
  async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    const place = { directory: directory.path, readyLimitMs: LIMIT_MS };
    await using server = await launchServer(place);
    const web = directory.join('web');
    const stored = directory.join('stored');
    const x509AndBundle = { svid_file_name: 'svid.pem', jwt_bundle_file_name: 'jwt.json' };
    await using agent = await launchAgent({
      ...{ server, ...place, spiffeId: NODE },
      config: {
        agent: { helpers: [{ spiffe_id: 'spiffe://example.org/web', cert_dir: web, ...x509AndBundle }] },
        plugins: { SVIDStore: { directory: { directory: stored } } },
      },
    });
    await register(server, 'web', 'unix:uid:64999');
    const storedId = await register(server, 'stored', 'directory:name:db', '--store-svid');
    const folder = join(stored, 'db');
    const limits = { limitMs: LIMIT_MS, explain: () => agent.process.output };
    const first = await waitFor('the helper to write', () => serialOf(web), limits);
    const firstStored = await waitFor('the store to have it', () => serialOf(folder), limits);
    expect(statSync(join(folder, 'svid_key.pem')).mode & 0o777).toBe(0o600);
    const isBundleThere = (): boolean => trustDomainsIn(join(web, 'jwt.json')).includes('example.org');
    await waitFor('the JWT bundle', isBundleThere, limits);
    const fetched = await agent.command(['api', 'fetch', 'x509'], { limitMs: LIMIT_MS });
    expect(fetched.code, 'no entry is for this process').toBe(1);
    await waitFor('the helper to follow a rotation', () => serialOf(web) !== first, limits);
    await waitFor('the store to follow a rotation', () => serialOf(folder) !== firstStored, limits);

    await server.commandOutput('entry', 'delete', '--entry-id', storedId);
    await waitFor('the stored files to go', () => !existsSync(folder), limits);
    expect(serialOf(web)).not.toBe('');

    await server.commandOutput('agent', 'ban', '--spiffe-id', agent.spiffeId);
    await waitFor('the other files to go with the ban', () => !existsSync(web), limits);
  },
  TEST_LIMIT_MS,
);

it(
  'gives tokens to a helper, which keeps them new',
  async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    const place = { directory: directory.path, readyLimitMs: LIMIT_MS };
    await using server = await launchServer(place);
    await using agent = await launchAgent({ server, ...place, spiffeId: NODE });
    await register(server, 'client', `unix:uid:${process.getuid?.() ?? 0}`);
    const tokens = directory.join('tokens');
    const config = {
      cert_dir: tokens,
      jwt_svids: [
        { jwt_audience: 'db', jwt_extra_audiences: ['cache'], jwt_svid_file_name: 'db.token' },
        { jwt_audience: 'queue', jwt_svid_file_name: 'queue.token' },
      ],
      jwt_bundle_file_name: 'jwt.json',
    };
    writeFileSync(directory.join('helper.json'), JSON.stringify(config));
    const token = join(tokens, 'db.token');
    await using helper = await LaunchedProcess.launch({
      name: 'helper',
      command: process.execPath,
      args: [programPath('agent'), 'helper', '--config', directory.join('helper.json')],
      env: { SPIFFE_ENDPOINT_SOCKET: agent.address },
      readyLimitMs: LIMIT_MS,
      isReady: () => existsSync(join(tokens, 'jwt.json')) && existsSync(join(tokens, 'queue.token')),
    });
    await waitFor('the token for db', () => existsSync(token), { limitMs: LIMIT_MS });
    expect(tokenClaims(token)).toMatchObject({ sub: 'spiffe://example.org/client', aud: ['db', 'cache'] });
    expect(tokenClaims(join(tokens, 'queue.token')).aud).toEqual(['queue']);
    expect(statSync(token).mode & 0o777).toBe(0o600);
    expect(trustDomainsIn(join(tokens, 'jwt.json'))).toEqual(['example.org']);
    expect(existsSync(join(tokens, 'svid_key.pem'))).toBe(false);
    const first = readFileSync(token, 'utf8');
    const isNew = (): boolean => readFileSync(token, 'utf8') !== first;
    await waitFor('a newer token', isNew, { limitMs: LIMIT_MS, explain: () => helper.output });
    const validated = await agent.command(
      ['api', 'validate', 'jwt', '--audience', 'db', '--svid', readFileSync(token, 'utf8')],
      { limitMs: LIMIT_MS },
    );
    expect(validated.stdout + validated.stderr).toContain('SVID is valid');
  },
  TEST_LIMIT_MS,
);
