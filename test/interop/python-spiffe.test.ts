import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JwtSource } from '@bonafide/sdk';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { pythonEnvironment } from '@bonafide/testing/python-environment';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';

const source = join(import.meta.dirname, 'python-spiffe');
const { binaries, missing } = pythonEnvironment(join(source, 'requirements.txt'));
const WORKLOAD = 'spiffe://example.org/workload';

describe.skipIf(missing !== undefined)(`spiffe of PyPI (${missing ?? 'found'})`, () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    server = await launchServer({ directory: directory.path });
    agent = await launchAgent({ server, directory: directory.path });
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', WORKLOAD],
      ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`, '--x509-svid-ttl', '8'],
    );
  });

  afterAll(async () => {
    await agent.stop();
    await server.stop();
    directory.remove();
  });

  function workload(...args: readonly string[]): ReturnType<typeof runProcess> {
    return runProcess(join(binaries ?? '', 'python'), [join(source, 'workload.py'), ...args], {
      env: { SPIFFE_ENDPOINT_SOCKET: agent.address },
      limitMs: 150_000,
    });
  }

  it('has an X509Source and a JwtSource, and follows a rotation', async () => {
    const { code, stdout, stderr } = await workload('sources', 'reports');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      spiffeId: WORKLOAD,
      jwtSpiffeId: WORKLOAD,
      validated: WORKLOAD,
      x509TrustDomains: ['example.org'],
      jwtTrustDomains: ['example.org'],
      hasRotated: true,
    });
  });

  it('has a JWT-SVID of the SDK validated by the agent, and refused for another audience', async () => {
    await using mine = await JwtSource.create({ address: agent.address, timeoutMs: 10_000 });
    const { token } = await mine.fetch('reports');
    expect(JSON.parse((await workload('validate', token, 'reports')).stdout)).toEqual({ spiffeId: WORKLOAD });
    const refused = await workload('validate', token, 'bank');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('audience');
  });
});
