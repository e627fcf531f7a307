/** Two processes with an identity each, that call each other over mutual TLS all the time while a test breaks what is behind them. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { LaunchedAgent } from '@bonafide/testing/launch-agent';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { namedNode } from '@bonafide/testing/named-node';
import { spawnAs } from '@bonafide/testing/run-as';
import { waitFor } from '@bonafide/testing/wait-for';
import { adminClient } from './admin-client.js';

const SCRIPT = join(import.meta.dirname, 'calling-peer.mjs');
const NAMES = ['alpha', 'beta'] as const;
const ENTRY_SERVICE = 'spire.api.server.entry.v1.Entry';

interface WorkloadEvent {
  readonly event: 'identity' | 'denied' | 'listening' | 'count' | 'failed' | 'stopped';
  readonly spiffeId?: string;
  readonly serialNumber?: string;
  readonly port?: number;
  readonly answered?: number;
  readonly failed?: number;
}

interface CallCounts {
  readonly answered: number;
  readonly failed: number;
}

interface Options {
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;
  /** A folder that the workloads' programs are put into. */
  readonly directory: string;
  readonly ttlSeconds?: number;
}

export class CallingWorkloads implements Disposable {
  readonly #server: LaunchedServer;
  readonly #workloads: readonly CallingWorkload[];
  readonly #entryIds: readonly string[];
  #renewals = 0;

  private constructor(
    server: LaunchedServer,
    workloads: readonly CallingWorkload[],
    entryIds: readonly string[],
  ) {
    this.#server = server;
    this.#workloads = workloads;
    this.#entryIds = entryIds;
  }

  /** Registers both by the path of their program, starts them, and resolves once each has been answered. */
  static async start(options: Options): Promise<CallingWorkloads> {
    const { server, agent, directory } = options;
    const entryIds = await register(options);
    const [alpha, beta] = NAMES.map((name) => {
      const peerId = `spiffe://${server.trustDomain}/${name === 'alpha' ? 'beta' : 'alpha'}`;
      return new CallingWorkload(programOf(name, directory), peerId, agent.address);
    });
    if (alpha === undefined || beta === undefined) throw new Error('there are two workloads');
    const workloads = new CallingWorkloads(server, [alpha, beta], entryIds);
    try {
      const ports = await Promise.all([alpha.port(), beta.port()]);
      alpha.callAt(ports[1]);
      beta.callAt(ports[0]);
      await workloads.keepCalling(1);
    } catch (error) {
      workloads[Symbol.dispose]();
      throw error;
    }
    return workloads;
  }

  /** Of both together, so far. */
  get counts(): CallCounts {
    return sum(this.#workloads.map(({ counts }) => counts));
  }

  /** How many SVIDs each has had. */
  get identities(): readonly number[] {
    return this.#workloads.map(({ serialNumbers }) => serialNumbers.size);
  }

  /** Resolves once each has been answered some more times since. */
  async keepCalling(times = 20): Promise<void> {
    const targets = this.#workloads.map(({ counts }) => counts.answered + times);
    await waitFor(
      `each workload to be answered ${times} times more`,
      () => this.#workloads.every(({ counts }, index) => counts.answered >= (targets[index] ?? 0)),
      { limitMs: 150_000, explain: () => this.lastWords() },
    );
  }

  /** Changes what the server must certify of both, and resolves once each of them has the new SVID. */
  async renew(limitMs = 60_000): Promise<void> {
    this.#renewals += 1;
    const dnsNames = [`renewal-${this.#renewals}.example.org`];
    const before = this.identities;
    const client = adminClient(this.#server, ENTRY_SERVICE);
    try {
      const entries = this.#entryIds.map((id) => ({ id, dnsNames }));
      const { results } = await callUnary(client, 'BatchUpdateEntry', {
        entries,
        inputMask: { dnsNames: true },
      });
      for (const { status } of results)
        if (status?.code !== 0) throw new Error(status?.message ?? 'no status');
    } finally {
      client.close();
    }
    await waitFor(
      'both workloads to have a new SVID',
      () => this.identities.every((count, index) => count > (before[index] ?? 0)),
      { limitMs, explain: () => this.lastWords() },
    );
  }

  /** Lets what is under way finish. @returns the final counts. */
  async stop(): Promise<CallCounts> {
    return sum(await Promise.all(this.#workloads.map((workload) => workload.stop())));
  }

  lastWords(): string {
    return this.#workloads.map((workload) => workload.lastWords()).join('\n');
  }

  [Symbol.dispose](): void {
    for (const workload of this.#workloads) workload[Symbol.dispose]();
  }
}

class CallingWorkload implements Disposable {
  readonly serialNumbers = new Set<string>();
  readonly #child: ChildProcess;
  readonly #notable: WorkloadEvent[] = [];
  #counts: CallCounts = { answered: 0, failed: 0 };
  #port: number | undefined;
  #isStopped = false;
  #stderr = '';

  constructor(program: string, peerId: string, address: string) {
    const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: address };
    this.#child = spawnAs(undefined, program, [SCRIPT, peerId], { stdio: 'pipe', env });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    if (this.#child.stdout === null) throw new Error('the workload has no standard output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#note(JSON.parse(line) as WorkloadEvent);
    });
  }

  get counts(): CallCounts {
    return this.#counts;
  }

  async port(): Promise<number> {
    const explain = (): string => this.lastWords();
    return waitFor('a workload to listen', () => this.#port, { limitMs: 150_000, explain });
  }

  callAt(port: number): void {
    this.#child.stdin?.write(`${port}\n`);
  }

  async stop(): Promise<CallCounts> {
    this.#child.stdin?.write('stop\n');
    const explain = (): string => this.lastWords();
    await waitFor('a workload to stop calling', () => this.#isStopped, { limitMs: 150_000, explain });
    return this.#counts;
  }

  lastWords(): string {
    return [...this.#notable.slice(-5).map((event) => JSON.stringify(event)), this.#stderr].join('\n');
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  #note(event: WorkloadEvent): void {
    const { answered = 0, failed = 0, port, serialNumber } = event;
    if (event.event === 'count' || event.event === 'stopped') this.#counts = { answered, failed };
    if (event.event !== 'count') this.#notable.push(event);
    if (event.event === 'stopped') this.#isStopped = true;
    if (serialNumber !== undefined) this.serialNumbers.add(serialNumber);
    this.#port ??= port;
  }
}

function sum(counts: readonly CallCounts[]): CallCounts {
  return {
    answered: counts.reduce((total, { answered }) => total + answered, 0),
    failed: counts.reduce((total, { failed }) => total + failed, 0),
  };
}

/** @returns the ids of the entries. */
async function register({ server, agent, directory, ttlSeconds = 0 }: Options): Promise<readonly string[]> {
  const { trustDomain } = server;
  const client = adminClient(server, ENTRY_SERVICE);
  try {
    const { results } = await callUnary(client, 'BatchCreateEntry', {
      entries: NAMES.map((name) => ({
        spiffeId: { trustDomain, path: `/${name}` },
        parentId: { trustDomain, path: new URL(agent.spiffeId).pathname },
        selectors: [{ type: 'unix', value: `path:${programOf(name, directory)}` }],
        x509SvidTtl: ttlSeconds,
      })),
    });
    return results.map(({ entry, status }) => {
      if (!entry) throw new Error(status?.message ?? 'no status');
      return entry.id;
    });
  } finally {
    client.close();
  }
}

/** The program of the workload of this name. */
export function programOf(name: string, directory: string): string {
  return namedNode(join(directory, 'bin'), name);
}
