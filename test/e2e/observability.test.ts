import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startHttpStandIn, type HttpStandIn } from '@bonafide/testing/http-stand-in';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const COLLECTOR_SECRET = 'what-the-collector-asks-for';

interface SentSpan {
  readonly name: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
}

interface SentTraces {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[];
  }[];
}

interface Snapshot {
  readonly program: string;
  readonly version: string;
  readonly health: readonly { readonly name: string; readonly ok: boolean }[];
  readonly counts: Readonly<Record<string, unknown>>;
  readonly problems: { readonly lines: readonly unknown[] };
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly metrics: string;
}

describe('what a launched server and agent tell of themselves', () => {
  let directory: ReturnType<typeof createTemporaryDirectory>;
  let collector: HttpStandIn;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  let privateDirectory: ReturnType<typeof createTemporaryDirectory>;
  let adminSocket: string;
  let auditPath: string;

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    collector = await startHttpStandIn(() => ({ body: '{}' }));
    const OpenTelemetry = {
      endpoint: collector.url.href,
      sample_ratio: 1,
      headers: { authorization: COLLECTOR_SECRET },
    };
    const config = { telemetry: { OpenTelemetry } };
    auditPath = join(directory.path, 'server', 'audit.log');
    const audit = { file: { path: auditPath } };
    server = await launchServer({ directory: directory.path, config: { ...config, audit } });
    privateDirectory = createTemporaryDirectory();
    adminSocket = join(privateDirectory.path, 'agent.sock');
    agent = await launchAgent({
      ...{ server, directory: directory.path },
      config: { ...config, agent: { admin_socket_path: adminSocket } },
    });
    await server.commandOutput(
      ...['entry', 'create', '--spiffe-id', 'spiffe://example.org/web', '--parent-id', agent.spiffeId],
      ...['--selector', 'unix:uid:4711'],
    );
  });
  afterAll(async () => {
    // What did not come up is not there to be ended.
    for (const started of [agent, server] as readonly (AsyncDisposable | undefined)[]) {
      await started?.[Symbol.asyncDispose]();
    }
    await collector.stop();
    directory[Symbol.dispose]();
    privateDirectory[Symbol.dispose]();
  });

  const ofAgent = (...args: readonly string[]) =>
    runCommand('agent', [...args, '--socket-path', adminSocket]);
  const spans = (): readonly SentSpan[] =>
    collector.requests.flatMap(({ body }) =>
      (JSON.parse(body) as SentTraces).resourceSpans.flatMap(({ scopeSpans }) =>
        scopeSpans.flatMap((scope) => scope.spans),
      ),
    );
  const readSnapshot = (path: string): Snapshot => JSON.parse(readFileSync(path, 'utf8')) as Snapshot;

  it('traces what goes to an agent, and what its owner asks it', async () => {
    expect((await ofAgent('debug', 'getinfo')).code).toBe(0);
    await waitFor('the delivery of the entry, in the trace of its creation', () => {
      const all = spans();
      const delivery = all.find(({ name }) => name === 'watch.deliver');
      return delivery !== undefined && originOf(delivery, all).endsWith('Entry/BatchCreateEntry');
    });
    await waitFor('the call of the owner', () =>
      spans().some(({ name }) => name === 'spire.agent.debug.v1.Debug/GetInfo'),
    );
  });

  it('puts a snapshot of the server into a file for its owner, without what the configuration has secret', async () => {
    const path = join(directory.path, 'server-snapshot.json');
    await server.commandOutput('debug', 'snapshot', '--output', path, '--cpu-profile', '1');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const snapshot = readSnapshot(path);
    expect(snapshot).toMatchObject({
      program: 'bonafide-server',
      health: [
        { name: 'server', ok: true },
        { name: 'datastore', ok: true },
        { name: 'authority', ok: true },
      ],
      counts: { entries: 1, nodes: 1, watch_streams: 1 },
      configuration: {
        server: { trust_domain: 'example.org' },
        telemetry: { OpenTelemetry: { headers: { authorization: '[redacted]' } } },
      },
    });
    expect(snapshot.metrics).toContain('bonafide_entries 1');
    expect(readFileSync(path, 'utf8')).not.toContain(COLLECTOR_SECRET);
    const profile = readFileSync(path.replace('.json', '.cpuprofile'), 'utf8');
    expect(JSON.parse(profile)).toMatchObject({ nodes: expect.any(Array) as unknown });
    const search = ['audit', 'search', '--file', auditPath, '--event', 'snapshot_taken'];
    expect((await runCommand('server', search)).stdout).toContain('snapshot_taken');
  });

  it('puts a snapshot of the agent into a file, without its join token', async () => {
    const path = join(directory.path, 'agent-snapshot.json');
    expect(await ofAgent('debug', 'snapshot', '--output', path)).toMatchObject({ code: 0, stderr: '' });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readSnapshot(path)).toMatchObject({
      program: 'bonafide-agent',
      counts: { entries: 1, server: { connected: true } },
      configuration: { agent: { join_token: '[redacted]' } },
    });
    const text = readFileSync(path, 'utf8');
    const token = agent.spiffeId.split('/').at(-1) ?? '';
    expect(token.length).toBeGreaterThan(10);
    for (const secret of [token, COLLECTOR_SECRET]) expect(text).not.toContain(secret);
  });

  it('has the agent write its heap where only its owner gets at it, and warns of the keys in it', async () => {
    const folder = join(agent.dataDirectory, 'debug');
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, 'of-before.heapsnapshot'), '');
    const path = join(directory.path, 'agent-heap.json');
    const { code, stdout, stderr } = await ofAgent('debug', 'snapshot', '--output', path, '--heap');
    expect(code).toBe(0);
    expect(stderr).toContain('private keys');
    const heapPath = / written to (\S+\.heapsnapshot) /.exec(stdout)?.[1] ?? '';
    expect(heapPath).toContain(agent.dataDirectory);
    expect(statSync(heapPath).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).map((name) => join(folder, name))).toEqual([heapPath]);
  });

  it('names each check of the agent to its owner', async () => {
    const { code, stdout } = await agent.command(['healthcheck', '--verbose']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'Checking agent health...',
        'quarantine: well',
        'identity: well',
        'workload_api: well',
        'server: well',
        'Agent is healthy.\n',
      ].join('\n'),
    );
    expect((await agent.command(['healthcheck'])).stdout).toBe('Agent is healthy.\n');
  });
});

/** The name of the outermost span of its trace that has arrived. */
function originOf(span: SentSpan, all: readonly SentSpan[]): string {
  const parent = all.find(({ spanId }) => spanId === span.parentSpanId);
  return parent === undefined ? span.name : originOf(parent, all);
}
