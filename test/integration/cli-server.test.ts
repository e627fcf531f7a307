import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

let server: InProcessServer;

beforeAll(async () => {
  server = await InProcessServer.start();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function run(line: string, input = ''): Promise<{ code: number; stdout: string; stderr: string }> {
  const host = createRecordedHost({ input, environment: { BONAFIDE_SERVER_SOCKET: server.socketPath } });
  const code = await runServerProgram(line.split(' '), host);
  return { code, ...host.printed };
}

/** Standard output of a command that must go well. */
async function output(line: string, input = ''): Promise<string> {
  const { code, stdout, stderr } = await run(line, input);
  expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
  return stdout;
}

async function json<T>(line: string): Promise<T> {
  return JSON.parse(await output(`${line} --output json`)) as T;
}

interface EntryList {
  readonly entries: readonly { readonly id: string; readonly spiffe_id: { readonly path: string } }[];
}

describe('the command line with a real server', { timeout: 60_000 }, () => {
  it('takes an entry through its life', async () => {
    const created = await output(
      'entry create -spiffeID spiffe://example.org/web -parentID spiffe://example.org/rack -selector unix:uid:1000 -x509SVIDTTL 60 -dns web.example.org -hint front',
    );
    const [, id = ''] = /^Entry ID {16}: (\S+)$/m.exec(created) ?? [];
    expect(await output('entry show')).toBe(`Found 1 entry\n${created}`);
    expect(await output(`entry show -entryID ${id}`)).toBe(`Found 1 entry\n${created}`);
    expect(await output('entry count')).toBe('1 registration entry\n');
    expect(await output('entry count -selector unix:uid:7')).toBe('0 registration entries\n');
    expect(
      await output('entry show -selector unix:uid:1000 -selector unix:gid:5 -matchSelectorsOn any'),
    ).toContain(id);

    const similar = await run(
      'entry create -spiffeID spiffe://example.org/web -parentID spiffe://example.org/rack -selector unix:uid:1000',
    );
    expect(similar.code).toBe(1);
    expect(similar.stderr).toContain('(code: AlreadyExists, msg: "similar entry already exists")');

    const updated = await output(
      `entry update -entryID ${id} -spiffeID spiffe://example.org/web -parentID spiffe://example.org/rack -selector unix:uid:1001 -jwtSVIDIncludeJTI`,
    );
    expect(updated).toContain('Revision                : 1\n');
    expect(updated).toContain('JwtSvidIncludeJti       : true\n');
    const kept = await output(
      `entry update -entryID ${id} -spiffeID spiffe://example.org/web -parentID spiffe://example.org/rack -selector unix:uid:1001 -disableX509SVIDPrefetch`,
    );
    expect(kept).toContain('DisableX509SvidPrefetch : true\nJwtSvidIncludeJti       : true\n');

    expect(await output(`entry delete -entryID ${id}`)).toContain(`Deleted entry with ID: ${id}\n`);
    const gone = await run(`entry delete -entryID ${id}`);
    expect(gone.code).toBe(1);
    expect(gone.stderr).toContain(`Failed to delete entry with ID ${id} (code: NotFound, msg: `);
    expect(await output('entry show')).toBe('Found 0 entries\n');
  });

  it('creates thousands from a file and deletes them again', async () => {
    const entries = Array.from({ length: 1100 }, (_, index) => ({
      spiffe_id: `spiffe://example.org/many/${index}`,
      parent_id: 'spiffe://example.org/rack',
      selectors: [{ type: 'unix', value: `uid:${index}` }],
    }));
    const path = server.directory.join('entries.json');
    await writeFile(path, JSON.stringify({ entries }));
    expect((await output(`entry create -data ${path}`)).match(/^Entry ID/gm)).toHaveLength(1100);
    const listed = await json<EntryList>('entry show');
    expect(listed.entries).toHaveLength(1100);
    const ids = listed.entries.map(({ id }) => id);
    expect(await output('entry delete -file -', JSON.stringify({ ids }))).toContain(
      'Deleted 1100 entries successfully',
    );
    expect(await output('entry count')).toBe('0 registration entries\n');
  });

  it('says what the server refuses', async () => {
    const foreign = await run(
      'entry create -spiffeID spiffe://other.example/web -parentID spiffe://example.org/rack -selector unix:uid:1',
    );
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toContain('(code: InvalidArgument, msg: ');
    const unknown = await run('entry show -entryID none');
    expect(unknown).toEqual({ code: 1, stdout: '', stderr: 'Error: entry not found\n' });
    expect((await run('agent show -spiffeID spiffe://example.org/spire/agent/join_token/none')).stderr).toBe(
      'Error: agent not found\n',
    );
  });

  it('takes an agent through its life', async () => {
    const [, token = ''] =
      /^Token: (\S+)\n/.exec(await output('token generate -spiffeID spiffe://example.org/rack')) ?? [];
    await server.attest(token);
    const agentId = `spiffe://example.org/spire/agent/join_token/${token}`;
    const list = await output('agent list');
    expect(list).toContain(
      `Found 1 attested agent:\n\nSPIFFE ID         : ${agentId}\nAttestation type  : join_token\n`,
    );
    expect(await output('agent count -attestationType join_token')).toBe('1 attested agent\n');
    expect(await output('agent count -banned true')).toBe('0 attested agents\n');
    expect(await output('agent list -expiresBefore 2020-01-02T00:00:00Z')).toBe('No attested agents found\n');
    expect(await output(`agent show -spiffeID ${agentId}`)).toContain(
      'Found an attested agent given its SPIFFE ID\n\n',
    );
    expect(await output('agent purge')).toBe('No agents to purge.\n');
    expect(await output(`agent ban -spiffeID ${agentId}`)).toBe('Agent banned successfully\n');
    expect(await output('agent list')).toContain('Banned            : true\n');
    expect(await output(`agent evict -spiffeID ${agentId}`)).toBe('Agent evicted successfully\n');
    expect(await output('agent list')).toBe('No attested agents found\n');
  });

  it('mints an SVID that its own bundle verifies', async () => {
    const directory = server.directory.path;
    await output(
      `x509 mint -spiffeID spiffe://example.org/db -ttl 10m -dns db.example.org -write ${directory}`,
    );
    const certificate = new X509Certificate(await readFile(server.directory.join('svid.pem')));
    const authority = new X509Certificate(await readFile(server.directory.join('bundle.pem')));
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.subjectAltName).toContain('URI:spiffe://example.org/db');
    expect(await output('bundle show')).toBe(await readFile(server.directory.join('bundle.pem'), 'utf8'));
    const capped = await run('x509 mint -spiffeID spiffe://example.org/db -ttl 9999h');
    expect(capped.stderr).toMatch(/^X509-SVID lifetime was capped shorter than specified ttl; expires "/);
  });

  it('takes the bundle of another trust domain through its life', async () => {
    const other = await TestAuthority.create('other.example');
    const pem = encodePem('CERTIFICATE', other.certificate);
    expect(await output('bundle set -id spiffe://other.example', pem)).toBe('bundle set.\n');
    expect(await output('bundle list -id other.example')).toBe(pem);
    expect(await output('bundle list')).toBe(`${'*'.repeat(40)}\n* other.example\n${'*'.repeat(40)}\n${pem}`);
    await output(
      'entry create -spiffeID spiffe://example.org/f -parentID spiffe://example.org/rack -selector unix:uid:1 -federatesWith spiffe://other.example',
    );
    expect(await output('entry show -federatesWith other.example')).toContain(
      'FederatesWith           : other.example\n',
    );
    expect((await run('bundle delete -id other.example')).stderr).toMatch(
      /^Error: failed to delete federated bundle "other\.example": /,
    );
    expect(await output('bundle delete -id other.example -mode dissociate')).toBe('bundle deleted.\n');
    expect(await output('bundle list')).toBe('');
  });

  it('tells about the server and changes its log level', async () => {
    expect(await output('healthcheck')).toBe('Server is healthy.\n');
    expect(await output('debug getinfo')).toMatch(/^Server Debug Info:\n {2}Uptime: {18}\d+s\n/);
    const info = await json<{ svid_chain: { id: { path: string } }[] }>('debug getinfo');
    expect(info.svid_chain[0]?.id.path).toBe('/spire/server');
    expect(await output('logger set -level trace')).toBe('Logger Level : trace\nLaunch Level : debug\n\n');
    expect(await output('logger reset')).toBe('Logger Level : debug\nLaunch Level : debug\n\n');
  });
});
