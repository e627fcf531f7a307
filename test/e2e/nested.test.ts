import { type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { namedNode } from '@bonafide/testing/named-node';
import { spawnAs } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SCRIPT = join(import.meta.dirname, 'nested-peer.mjs');
/** Of every authority of every level: each is followed several times while the workloads call. */
const AUTHORITY_SECONDS = 48;
const SVID_SECONDS = 16;

interface PeerEvent {
  readonly event: 'identity' | 'problem' | 'listening' | 'answered';
  readonly chain?: readonly string[];
  readonly root?: string;
  readonly message?: string;
  readonly port?: number;
  readonly keyId?: string;
}

/** A process with a program of its own, so that agents can tell it from others of the same user. */
class Peer implements Disposable {
  readonly events: PeerEvent[] = [];
  readonly #child: ChildProcess;
  #stderr = '';

  constructor(program: string, peerId: string, agent: LaunchedAgent) {
    const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: agent.address };
    this.#child = spawnAs(undefined, program, [SCRIPT, peerId], { stdio: 'pipe', env });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    if (this.#child.stdout === null) throw new Error('the peer has no standard output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line) as PeerEvent);
    });
  }

  port(): Promise<number> {
    return waitFor('the peer to listen', () => this.events.find(({ event }) => event === 'listening')?.port, {
      limitMs: 150_000,
      explain: () => `${JSON.stringify(this.events.slice(-5))} ${this.#stderr}`,
    });
  }

  callAt(port: number): void {
    this.#child.stdin?.write(`${port}\n`);
  }

  get problems(): readonly string[] {
    return this.events.flatMap(({ event, message = '' }) => (event === 'problem' ? [message] : []));
  }

  get answered(): number {
    return this.events.filter(({ event }) => event === 'answered').length;
  }

  /** Keys that signed its JWT-SVIDs. */
  get keyIds(): ReadonlySet<string> {
    return new Set(this.events.flatMap(({ keyId }) => (keyId === undefined ? [] : [keyId])));
  }

  /** The certificates that it had so far at a place of its chain, the leaf's being 0. */
  serialNumbers(place: number): ReadonlySet<string> {
    return new Set(this.events.flatMap(({ chain = [] }) => chain[place] ?? []));
  }

  /** The names of the authorities above its chains. */
  get roots(): ReadonlySet<string> {
    return new Set(this.events.flatMap(({ root }) => root ?? []));
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

describe('servers nested three deep, whose authorities rotate every few seconds', () => {
  let directory: TemporaryDirectory;
  const started: { stop(): Promise<void> }[] = [];

  beforeAll(() => {
    directory = createTemporaryDirectory();
  });

  afterAll(async () => {
    for (const one of started.reverse()) await one.stop();
    directory.remove();
  });

  async function startServer(
    name: string,
    above?: { server: LaunchedServer; agent: LaunchedAgent },
  ): Promise<LaunchedServer> {
    const folder = directory.join(name);
    const upstream = above && {
      spire: {
        server_address: '127.0.0.1',
        server_port: above.server.port,
        workload_api_socket: above.agent.socketPath,
      },
    };
    const server = await launchServer({
      directory: folder,
      config: {
        server: {
          ca_ttl: `${AUTHORITY_SECONDS}s`,
          default_x509_svid_ttl: `${SVID_SECONDS}s`,
          default_jwt_svid_ttl: `${SVID_SECONDS}s`,
          agent_ttl: '30s',
        },
        plugins: upstream === undefined ? {} : { UpstreamAuthority: upstream },
      },
    });
    started.push(server);
    return server;
  }

  async function startAgent(server: LaunchedServer): Promise<LaunchedAgent> {
    const agent = await launchAgent({ server, directory: server.directory });
    started.push(agent);
    return agent;
  }

  async function register(
    server: LaunchedServer,
    agent: LaunchedAgent,
    path: string,
    program: string,
    ...more: readonly string[]
  ): Promise<void> {
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', `spiffe://example.org${path}`],
      ...['--selector', `unix:path:${program}`, ...more],
    );
  }

  it('let a workload under the root and one under the leaf call each other, with X.509-SVIDs and JWT-SVIDs, without one failure', async () => {
    const root = await startServer('root');
    const rootAgent = await startAgent(root);
    await register(root, rootAgent, '/middle', process.execPath, '--downstream', '--x509-svid-ttl', '16');
    const middle = await startServer('middle', { server: root, agent: rootAgent });
    const middleAgent = await startAgent(middle);
    await register(middle, middleAgent, '/leaf', process.execPath, '--downstream', '--x509-svid-ttl', '16');
    const leaf = await startServer('leaf', { server: middle, agent: middleAgent });
    const leafAgent = await startAgent(leaf);

    const programs = {
      above: namedNode(directory.join('bin'), 'above'),
      below: namedNode(directory.join('bin'), 'below'),
    };
    await register(root, rootAgent, '/above', programs.above);
    await register(leaf, leafAgent, '/below', programs.below);
    using above = new Peer(programs.above, 'spiffe://example.org/below', rootAgent);
    using below = new Peer(programs.below, 'spiffe://example.org/above', leafAgent);
    const ports = await Promise.all([above.port(), below.port()]);
    above.callAt(ports[1]);
    below.callAt(ports[0]);

    const progress = (): string =>
      JSON.stringify({
        answered: [above.answered, below.answered],
        problems: [...above.problems, ...below.problems].slice(0, 5),
        leaf: below.serialNumbers(1).size,
        middle: below.serialNumbers(2).size,
        roots: [above.roots.size, below.roots.size],
        keys: [above.keyIds.size, below.keyIds.size],
      });
    // The leaf's authority, the middle's above it, and the root's, which signs the SVIDs of the workload above.
    await waitFor(
      'rotation at every level',
      () =>
        below.serialNumbers(1).size >= 3 &&
        below.serialNumbers(2).size >= 3 &&
        above.roots.size >= 2 &&
        below.roots.size >= 2 &&
        above.keyIds.size >= 2 &&
        below.keyIds.size >= 2,
      { limitMs: 180_000, intervalMs: 250, explain: progress },
    );
    expect([...above.problems, ...below.problems], progress()).toEqual([]);
    expect(above.answered).toBeGreaterThan(30);
    expect(below.answered).toBeGreaterThan(30);
  }, 360_000);
});
