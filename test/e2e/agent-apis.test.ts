import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { runCommand, type CommandResult } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess, type WorkloadStatus } from '@bonafide/testing/workload-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const NODE = 'spiffe://example.org/node';
const DELEGATE = { uid: 64_401, gid: 64_401 };
const WORKLOAD = { uid: 64_402, gid: 64_402 };
const STRANGER = { uid: 64_403, gid: 64_403 };
const LIMIT = { limitMs: 150_000 };

const { definition: delegated } = loadService('spire.api.agent.delegatedidentity.v1.DelegatedIdentity');
const PID = 'type.googleapis.com/spiffe.broker.WorkloadPIDReference';

describe.runIf(canRunAsOthers())('the agent’s other APIs, with the real programs (needs root)', () => {
  let directory: TemporaryDirectory;
  /** Of the admin socket, which must not be near the other one. */
  let adminDirectory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  let workload: WorkloadProcess;
  let delegateEntry: string;
  let health: string;
  let brokerPort: number;
  const closers: (() => void)[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    adminDirectory = createTemporaryDirectory({ isPublic: true });
    const healthPort = await findFreePort();
    brokerPort = await findFreePort();
    health = `http://127.0.0.1:${healthPort}`;
    server = await launchServer({ directory: directory.path, readyLimitMs: 120_000 });
    agent = await launchAgent({
      ...{ server, directory: directory.path, spiffeId: NODE },
      config: {
        agent: {
          admin_socket_path: adminDirectory.join('admin/admin.sock'),
          authorized_delegates: ['spiffe://example.org/cni'],
          admin_socket_group: DELEGATE.gid,
          admin_socket_mode: '0666',
          broker: {
            socket_path: directory.join('broker/broker.sock'),
            bind_address: `127.0.0.1:${brokerPort}`,
            brokers: [
              {
                id: 'spiffe://example.org/mesh',
                allowed_reference_types: [{ type_url: PID, allow_over_tcp: true }],
              },
            ],
          },
          apis: { wit: false },
        },
        health_checks: { listener_enabled: true, bind_address: '127.0.0.1', bind_port: healthPort },
      },
      readyLimitMs: 120_000,
    });
    delegateEntry = await register('/cni', `unix:uid:${DELEGATE.uid}`);
    await register('/web', `unix:uid:${WORKLOAD.uid}`);
    await register('/mesh', `unix:uid:0`);
    workload = await start(WORKLOAD);
  });
  afterAll(async () => {
    for (const close of closers.reverse()) close();
    await agent.stop();
    await server.stop();
    directory.remove();
    adminDirectory.remove();
  });

  async function start(account: { uid: number; gid: number }): Promise<WorkloadProcess> {
    const process = await WorkloadProcess.start(account);
    closers.push(() => {
      process[Symbol.dispose]();
    });
    return process;
  }

  async function register(path: string, selector: string): Promise<string> {
    const id = ['--parent-id', NODE, '--spiffe-id', `spiffe://example.org${path}`];
    const output = await server.commandOutput('entry', 'create', ...id, '--selector', selector);
    const entryId = /^Entry ID\s*: (\S+)$/m.exec(output)?.[1];
    if (entryId === undefined) throw new Error(`no entry id in ${output}`);
    return entryId;
  }

  const owner = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand('agent', [...args, '--config', agent.configPath]);

  /** Of the first message, or why there is none. */
  async function delegatedIds(
    caller: WorkloadProcess,
    request: object,
  ): Promise<{ readonly stream: number; readonly answer: readonly string[] | WorkloadStatus }> {
    const stream = caller.call(
      'spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509SVIDs',
      {
        request: delegated.SubscribeToX509SVIDs.requestSerialize(request),
      },
    );
    const answer = await waitFor(
      'an answer to the delegate',
      () => {
        const [message] = caller.messages(stream);
        if (message === undefined) return caller.statusNow(stream);
        const { x509Svids } = delegated.SubscribeToX509SVIDs.responseDeserialize(message);
        return x509Svids.map(({ x509Svid }) => x509Svid?.id?.path ?? '');
      },
      LIMIT,
    );
    return { stream, answer };
  }

  async function brokerClient(target: string): Promise<ServiceClient<'spiffe.broker.API'>> {
    const folder = createTemporaryDirectory();
    closers.push(() => {
      folder.remove();
    });
    await waitFor(
      'the SVID of the broker',
      async () => (await agent.command(['api', 'fetch', 'x509', '--write', folder.path])).code === 0,
      LIMIT,
    );
    const pem = (name: string): Buffer => readFileSync(folder.join(name));
    const { Client } = loadService('spiffe.broker.API');
    const secure = credentials.createSsl(pem('bundle.0.pem'), pem('svid.0.key'), pem('svid.0.pem'), {
      checkServerIdentity: (_host, { raw }) =>
        new X509Certificate(raw).subjectAltName === `URI:${agent.spiffeId}`
          ? undefined
          : new Error('this is not the agent'),
    });
    const client = new Client(target, secure, { 'grpc.ssl_target_name_override': 'agent' });
    closers.push(() => {
      client.close();
    });
    return client;
  }

  it('hands a delegate the SVIDs of another workload, by selectors and by pid, until its entry goes', async () => {
    const admin = adminDirectory.join('admin/admin.sock');
    expect(statSync(admin)).toMatchObject({ gid: DELEGATE.gid });
    const delegate = await start(DELEGATE);
    const stranger = await start(STRANGER);
    for (const each of [delegate, stranger]) await each.connect(admin);
    const bySelectors = { selectors: [{ type: 'unix', value: `uid:${WORKLOAD.uid}` }] };
    const byPid = { pid: workload.child.pid };
    // Entries reach the agent in their own time.
    const first = await waitFor(
      'the delegate to be served',
      async () => {
        const outcome = await delegatedIds(delegate, bySelectors);
        return Array.isArray(outcome.answer) && outcome.answer.length > 0 ? outcome : undefined;
      },
      LIMIT,
    );
    expect(first.answer).toEqual(['/web']);
    const second = await delegatedIds(delegate, byPid);
    expect(second.answer).toEqual(['/web']);
    expect((await delegatedIds(stranger, bySelectors)).answer).toMatchObject({ code: 7 });
    const debug = delegate.call('spire.agent.debug.v1.Debug/GetInfo');
    expect(await delegate.status(debug)).toMatchObject({ code: 7 });

    await server.commandOutput('entry', 'delete', '--entry-id', delegateEntry);
    for (const { stream } of [first, second]) {
      const ended = await waitFor('the end of the stream', () => delegate.statusNow(stream), LIMIT);
      expect(ended.code).toBe(7);
    }
    expect((await delegatedIds(delegate, byPid)).answer).toMatchObject({ code: 7 });
  });

  it.each(['unix', 'tcp'])(
    'hands a broker the SVIDs of a process it names, over %s',
    async (kind) => {
      const target =
        kind === 'tcp' ? `127.0.0.1:${brokerPort}` : `unix:${directory.join('broker/broker.sock')}`;
      const client = await brokerClient(target);
      const named = await start(WORKLOAD);
      const value = loadMessage('spiffe.broker.WorkloadPIDReference').serialize({
        pid: named.child.pid ?? 0,
      });
      const request = { reference: { reference: { type_url: PID, value } } };
      const metadata = { 'broker.spiffe.io': 'true' };
      const stream = await waitFor(
        'the SVIDs of the process',
        async () => {
          const opened = openServerStream(client, 'SubscribeToX509SVID', request, { metadata });
          const { value } = await opened.next();
          return value?.svids[0]?.spiffeId === 'spiffe://example.org/web' && opened;
        },
        LIMIT,
      );
      const jwt = { ...request, audience: ['db'] };
      const { svids } = await callUnary(client, 'FetchJWTSVID', jwt, { metadata, deadlineMs: 60_000 });
      expect(svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.org/web']);
      named.child.kill('SIGKILL');
      await expect(stream.next()).rejects.toMatchObject({
        reason: 'not_found',
        errorInfo: { reason: 'WORKLOAD_NOT_FOUND', domain: 'spiffe.io' },
      });
    },
    300_000,
  );

  it('tells its owner what it holds, and takes another log level', async () => {
    const { code, stdout } = await owner('debug', 'getinfo');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Agent Debug Info:\n {2}Uptime: +\d+/);
    expect(stdout).toContain(`[0] SPIFFE ID:  ${agent.spiffeId}`);
    expect(stdout).toContain('[1] SPIFFE ID:  spiffe://example.org\n');
    const json = JSON.parse((await owner('debug', 'getinfo', '--output', 'json')).stdout) as object;
    expect(json).toMatchObject({ cached_x509_svids_count: expect.any(Number) as number });

    const levels = (now: string): string => `Logger Level : ${now}\nLaunch Level : debug\n\n`;
    expect((await owner('logger', 'get')).stdout).toBe(levels('debug'));
    expect((await owner('logger', 'set', '--level', 'warn')).stdout).toBe(levels('warning'));
    expect((await owner('logger', 'reset')).stdout).toBe(levels('debug'));
  });

  it('does not serve what is switched off, and says so', async () => {
    const { code, stderr } = await agent.command(['api', 'fetch', 'wit']);
    expect(code).toBe(1);
    expect(stderr).toContain('apis.wit is false');
  });

  it('is not ready in quarantine, and says so over HTTP and gRPC; alive it is', async () => {
    const { Client } = loadService('grpc.health.v1.Health');
    const client = new Client(`unix:${agent.socketPath}`, credentials.createInsecure());
    closers.push(() => {
      client.close();
    });
    const watched = openServerStream(client, 'Watch', { service: '' }, {});
    const ready = async (): Promise<{ status: number; body: unknown }> => {
      const response = await fetch(`${health}/ready`);
      return { status: response.status, body: await response.json() };
    };
    expect((await watched.next()).value).toMatchObject({ status: 'SERVING' });
    expect(await ready()).toEqual({ status: 200, body: { agent: {} } });
    expect((await agent.command(['healthcheck'])).code).toBe(0);

    await server.commandOutput('agent', 'quarantine', '--spiffe-id', agent.spiffeId, '--reason', 'a test');
    expect((await watched.next()).value).toMatchObject({ status: 'NOT_SERVING' });
    expect(await ready()).toEqual({
      status: 500,
      body: { agent: { make_new_x509_err: 'this node is in quarantine' } },
    });
    expect((await agent.command(['healthcheck'])).code).toBe(1);
    expect((await fetch(`${health}/live`)).status).toBe(200);
    expect((await fetch(`${health}/other`)).status).toBe(404);

    await server.commandOutput('agent', 'release', '--spiffe-id', agent.spiffeId);
    expect((await watched.next()).value).toMatchObject({ status: 'SERVING' });
    await waitFor('it to be ready', async () => (await ready()).status === 200, LIMIT);
  });
});
