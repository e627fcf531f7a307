import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { createRecordedHost, type RecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agentProgram, runAgentProgram } from './program.js';

const authority = await TestAuthority.create('example.org');
const partner = await TestAuthority.create('partner.test');
const svids = [
  await authority.issueX509Svid('/web', { hint: 'external' }),
  await authority.issueX509Svid('/db', {
    notBefore: new Date('2026-01-02T15:04:05Z'),
    notAfter: new Date('2050-01-02T15:04:05Z'),
  }),
];
const content = { svids, bundles: [authority.bundle(), partner.bundle()] };

let directory: TemporaryDirectory;
let socketPath: string;
beforeEach(() => {
  directory = createTemporaryDirectory();
  socketPath = directory.join('api.sock');
});
afterEach(() => {
  directory.remove();
});

async function run(...argv: readonly string[]): Promise<{ code: number; host: RecordedHost }> {
  const host = createRecordedHost();
  return { code: await runAgentProgram(argv, host), host };
}

describe('bonafide-agent', () => {
  it.each(agentProgram.commands.map(({ path }) => path))('%s --help shows an example', async (path) => {
    const { code, host } = await run(...path.split(' '), '--help');
    expect(code).toBe(0);
    expect(host.printed.stdout).toMatch(/Examples:\n {2}\$ bonafide-agent /);
  });

  it('prints its version', async () => {
    expect((await run('--version')).host.printed.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('validate', () => {
  const good = {
    agent: { trust_domain: 'example.org', server_address: 'x', server_port: 1, insecure_bootstrap: true },
  };

  it('accepts a good file', async () => {
    const path = directory.join('agent.json');
    await writeFile(path, JSON.stringify(good));
    const { code, host } = await run('validate', '-config', path);
    expect([code, host.printed.stdout]).toEqual([0, 'Bonafide agent configuration file is valid.\n']);
  });

  it('tells every problem of a bad one, those of flags too', async () => {
    const path = directory.join('agent.yaml');
    await writeFile(
      path,
      'agent:\n  trust_domain: Example\n  server_address: x\n  colour: red\n  insecure_bootstrap: true\n',
    );
    const { code, host } = await run('validate', '--config', path, '--log-level', 'LOUD');
    expect(code).toBe(1);
    for (const text of ['invalid: ', 'server_port', 'colour', 'trust_domain', '--log-level']) {
      expect(host.printed.stderr).toContain(text);
    }
  });

  it('lets flags win over the file', async () => {
    const path = directory.join('agent.json');
    await writeFile(path, '{"agent":{}}');
    const flags = [
      '-trustDomain',
      'example.org',
      '-serverAddress',
      'x',
      '-serverPort',
      '1',
      '-insecureBootstrap',
    ];
    expect((await run('validate', '-config', path, ...flags)).code).toBe(0);
  });
});

describe('healthcheck', () => {
  it('says that a serving agent is healthy', async () => {
    await using services = await startStubServices(socketPath, {
      'grpc.health.v1.Health': { Check: () => ({ status: 'SERVING' }) },
    });
    const { code, host } = await run('healthcheck', '-socketPath', socketPath, '-verbose');
    expect([code, host.printed.stdout]).toEqual([0, 'Checking agent health...\nAgent is healthy.\n']);
    expect(services.calls).toHaveLength(1);
  });

  it('says what is wrong with one that is not, or is not there', async () => {
    const absent = await run('healthcheck', '--socket-path', socketPath);
    expect(absent.code).toBe(1);
    expect(absent.host.printed.stderr).toMatch(
      /Agent is unhealthy: unable to determine health: no agent listens on .*api\.sock/,
    );
    await using services = await startStubServices(socketPath, {
      'grpc.health.v1.Health': { Check: () => ({ status: 'NOT_SERVING' }) },
    });
    const sick = await run('healthcheck', '--socket-path', socketPath);
    expect(sick.code).toBe(1);
    expect(services.calls).toHaveLength(1);
    expect(sick.host.printed.stderr).toContain('Agent is unhealthy: agent returned status "NOT_SERVING"');
  });

  it('finds the socket by SPIRE’s environment variables', async () => {
    await using services = await startStubServices(socketPath, {
      'grpc.health.v1.Health': { Check: () => ({ status: 'SERVING' }) },
    });
    const byVariable = createRecordedHost({ environment: { SPIRE_AGENT_PUBLIC_SOCKET: socketPath } });
    expect(await runAgentProgram(['healthcheck'], byVariable)).toBe(0);
    const template = directory.join('%i.sock');
    const environment = { SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE: template };
    expect(
      await runAgentProgram(['healthcheck', '--instance', 'api'], createRecordedHost({ environment })),
    ).toBe(0);
    const without = createRecordedHost();
    expect(await runAgentProgram(['healthcheck', '--instance', 'api'], without)).toBe(1);
    expect(without.printed.stderr).toContain('SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE');
    expect(services.calls).toHaveLength(2);
  });
});

describe('api fetch x509', () => {
  it('prints what it received as SPIRE does', async () => {
    await using api = await TestWorkloadApi.start(socketPath);
    api.serve(content);
    const { code, host } = await run('api', 'fetch', '-socketPath', socketPath);
    expect(code).toBe(0);
    expect(host.printed.stdout).toMatch(
      /^Received 2 svids after [\d.]+m?s\n\nSPIFFE ID:\t\tspiffe:\/\/example\.org\/web\n/,
    );
    expect(host.printed.stdout).toContain('Hint:\t\t\texternal\n');
    expect(host.printed.stdout).toContain('SVID Valid After:\t2026-01-02 15:04:05 +0000 UTC\n');
    expect(host.printed.stdout).toContain('SVID Valid Until:\t2050-01-02 15:04:05 +0000 UTC\n');
    expect(host.printed.stdout).toMatch(/\nCA #1 Valid After:\t20.*\nCA #1 Valid Until:\t20/);
    expect(host.printed.stdout).toMatch(/\n\[spiffe:\/\/partner\.test\] CA #1 Valid Until:\t.*\n\n$/);
  });

  it('prints protojson with --output json', async () => {
    await using api = await TestWorkloadApi.start(socketPath);
    api.serve(content);
    const { code, host } = await run('api', 'fetch', 'x509', '--output', 'json', '--socket-path', socketPath);
    expect(code).toBe(0);
    const json = JSON.parse(host.printed.stdout) as { svids: { spiffe_id: string; x509_svid: string }[] };
    expect(json.svids.map(({ spiffe_id: id }) => id)).toEqual(svids.map(({ spiffeId }) => spiffeId));
    expect(json.svids[0]?.x509_svid).toBe(
      Buffer.concat([...(svids[0]?.certificateChain ?? [])]).toString('base64'),
    );
  });

  it('writes files that OpenSSL reads, the keys for their owner alone', async () => {
    await using api = await TestWorkloadApi.start(socketPath);
    api.serve(content);
    await mkdir(directory.join('out'));
    const out = directory.join('out');
    const { code, host } = await run(
      'api',
      'fetch',
      'x509',
      '-write',
      out,
      '-silent',
      '-socketPath',
      socketPath,
    );
    expect(code).toBe(0);
    expect(host.printed.stdout.split('\n').slice(0, 4)).toEqual([
      `Writing SVID #0 to file ${out}/svid.0.pem.`,
      `Writing key #0 to file ${out}/svid.0.key.`,
      `Writing bundle #0 to file ${out}/bundle.0.pem.`,
      `Writing federated bundle #0 for trust domain spiffe://partner.test to file ${out}/federated_bundle.0.0.pem.`,
    ]);
    const leaf = new X509Certificate(await readFile(`${out}/svid.1.pem`));
    expect(leaf.subjectAltName).toBe('URI:spiffe://example.org/db');
    expect(leaf.verify(new X509Certificate(await readFile(`${out}/bundle.1.pem`)).publicKey)).toBe(true);
    expect((await stat(`${out}/svid.0.key`)).mode & 0o777).toBe(0o600);
    expect((await stat(`${out}/svid.0.pem`)).mode & 0o777).toBe(0o644);
  });

  it('says what is wrong: no agent, no identity, no directory, no answer in time', async () => {
    const flags = ['--socket-path', socketPath];
    const absent = await run('api', 'fetch', 'x509', ...flags);
    expect([absent.code, absent.host.printed.stderr]).toEqual([
      1,
      expect.stringMatching(/no agent listens on/),
    ]);
    await using api = await TestWorkloadApi.start(socketPath);
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    const denied = await run('api', 'fetch', 'x509', ...flags);
    expect([denied.code, denied.host.printed.stderr]).toEqual([1, 'Error: no identity issued\n']);
    api.serve(content);
    const nowhere = await run('api', 'fetch', 'x509', ...flags, '--write', directory.join('nowhere'));
    expect([nowhere.code, nowhere.host.printed.stderr]).toEqual([
      1,
      expect.stringMatching(/is no directory/),
    ]);
    const bad = await run('api', 'fetch', 'x509', ...flags, '--timeout', 'soon');
    expect([bad.code, bad.host.printed.stderr]).toEqual([1, expect.stringMatching(/--timeout/)]);
  });

  it('does not show an SVID that its own bundle does not vouch for', async () => {
    await using api = await TestWorkloadApi.start(socketPath);
    const stranger = await TestAuthority.create('example.org');
    api.serve({ svids, bundles: [stranger.bundle()] });
    const { code, host } = await run('api', 'fetch', 'x509', '--socket-path', socketPath);
    expect([code, host.printed.stdout]).toEqual([1, '']);
    expect(host.printed.stderr).toContain('spiffe://example.org/web');
  });
});

describe('api watch', () => {
  it('prints every update until it is stopped, and says why there is none', async () => {
    await using api = await TestWorkloadApi.start(socketPath);
    api.serve(content);
    const stopping = new AbortController();
    const host = createRecordedHost({ stopSignal: stopping.signal });
    const ended = runAgentProgram(['api', 'watch', '-socketPath', socketPath], host);
    await waitFor('the first update', () => host.printed.stdout.includes('Received 2 svids'));
    api.serve({ ...content, svids: svids.slice(0, 1) });
    await waitFor('the second update', () => host.printed.stdout.includes('Received 1 svid after'));
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    await waitFor('the refusal', () => host.printed.stderr.includes('no identity issued'));
    stopping.abort();
    expect(await ended).toBe(0);
  });
});
