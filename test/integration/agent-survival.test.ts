import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { createRecordedHost, type RecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const ADMIN = 'admin/admin.sock';

async function survival(...args: readonly string[]): Promise<{ code: number; host: RecordedHost }> {
  const host = createRecordedHost();
  return { code: await runAgentProgram(['survival', ...args], host), host };
}

describe('bonafide-agent survival', () => {
  let server: InProcessServer;
  let agent: InProcessAgent;
  let folder: TemporaryDirectory;
  let socketPath: string;

  beforeAll(async () => {
    server = await InProcessServer.start({ config: { server: { ca_ttl: '200h', agent_ttl: '2h' } } });
    const joinToken = await server.createToken();
    const parent = agentIdOf(joinToken);
    await server.createEntry(parent, '/long', { selectors: [OWN_SELECTOR], x509SvidTtl: 80 * 3600 });
    await server.createEntry(parent, '/short', { selectors: [OWN_SELECTOR], x509SvidTtl: 3600 });
    folder = createTemporaryDirectory({ isPublic: true });
    socketPath = folder.join(ADMIN);
    agent = await InProcessAgent.start({
      ...{ server, joinToken },
      config: { agent: { availability_target: '24h', admin_socket_path: socketPath } },
    });
    await agent.fetched('the SVIDs');
    await waitFor('the server to be heard', () => agent.logged('took in a change') > 0, { limitMs: 150_000 });
  });
  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    folder.remove();
  });

  it('tells who stops when, those that stop first first', async () => {
    const { code, host } = await survival('--socket-path', socketPath);
    expect([code, host.printed.stderr]).toEqual([0, '']);
    const lines = host.printed.stdout.split('\n');
    expect(lines[0]).toMatch(/^Connected to 127\.0\.0\.1:\d+$/);
    expect(lines[1]).toMatch(
      /^Agent spiffe:.*: its own SVID ends in (?:2h|1h 59m) \(2.*Z\); after that it needs new evidence/,
    );
    const rows = lines.filter((line) => line.includes('spiffe://example.org/') && line.startsWith('in '));
    expect(rows[0]).toMatch(
      /^in (?:1h|59m)(?: \d+s)? \(2.*Z\) +spiffe:.*\/short +(yes|no) +NOT MET +its X\.509-SVID expires$/,
    );
    expect(rows[1]).toMatch(
      /^in 3d [78]h \(2.*Z\) +spiffe:.*\/long +(yes|no) +met +its X\.509-SVID expires$/,
    );
    expect(rows).toHaveLength(2);
  });

  it('answers as JSON, and by its exit code', async () => {
    const { host } = await survival('--socket-path', socketPath, '--output', 'json');
    const report = JSON.parse(host.printed.stdout) as { agent: object; workloads: { spiffe_id: string }[] };
    expect(report.agent).toMatchObject({ is_connected: true, availability_target: '86400' });
    expect(report.workloads.map(({ spiffe_id: spiffeId }) => spiffeId)).toEqual([
      'spiffe://example.org/short',
      'spiffe://example.org/long',
    ]);
    expect((await survival('--socket-path', socketPath, '--fail-under', '30m')).code).toBe(0);
    const failed = await survival('--socket-path', socketPath, '--fail-under', '24h');
    expect(failed.code).toBe(1);
    expect(failed.host.printed.stderr).toContain(
      '1 of 2 workloads would be without a valid X.509-SVID or bundle sooner than asked for',
    );
  });

  it('had been said in the log for the TTLs that are too short', () => {
    expect(agent.logged('X509-SVIDs of some entries cannot meet the availability target')).toBe(1);
    expect(agent.logged("the agent's own SVID cannot meet the availability target")).toBe(1);
  });

  it('is for the owner of the agent alone', () => {
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(folder.join('admin')).mode & 0o777).toBe(0o700);
  });

  it.runIf(process.getuid?.() === 0)(
    'refuses others even when the socket was opened to all (needs root)',
    async () => {
      chmodSync(folder.join('admin'), 0o755);
      chmodSync(socketPath, 0o777);
      const script = `require('net').connect(${JSON.stringify(socketPath)}).on('close', () => console.log('closed')).resume()`;
      const stranger = spawn(process.execPath, ['-e', script], { uid: 65_534, gid: 65_534, cwd: '/' });
      expect(String(await once(stranger.stdout, 'data'))).toBe('closed\n');
      await waitFor('the refusal', () => agent.logged('refused a connection of another user') === 1);
    },
  );

  it('says what to do when there is no admin socket', async () => {
    const path = folder.join('none.json');
    const config = {
      agent: { trust_domain: 'example.org', server_addresses: ['a:1'], insecure_bootstrap: true },
    };
    writeFileSync(path, JSON.stringify(config));
    const { code, host } = await survival('--config', path);
    expect(code).toBe(1);
    expect(host.printed.stderr).toContain('has no admin socket; set agent.admin_socket_path');
    const absent = await survival('--socket-path', folder.join('absent.sock'));
    expect(absent.code).toBe(1);
    expect(absent.host.printed.stderr).toContain('no agent has its admin socket at');
  });
});
