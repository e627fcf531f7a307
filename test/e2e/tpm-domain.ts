/** A trust domain whose one node is a machine with a software TPM: server, agent and workload are processes, the operator types commands. */
import { readFile, writeFile } from 'node:fs/promises';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { parseTpmPublic, publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import type { SoftwareNode } from '@bonafide/testing/software-node';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess, type WorkloadStatus } from '@bonafide/testing/workload-process';

const { definition } = loadService('SpiffeWorkloadAPI');
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const LIMIT_MS = 120_000;
export const WEB = 'spiffe://example.org/web';
const ALIAS = 'spiffe://example.org/tpm-nodes';

export interface OpenStream {
  readonly workload: WorkloadProcess;
  readonly call: number;
  readonly spiffeIds: readonly string[];
}

export class TpmDomain implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly server: LaunchedServer;
  readonly #trust: ConfigFile;
  readonly #cleanUps: (() => PromiseLike<void> | void)[] = [];

  private constructor(directory: TemporaryDirectory, server: LaunchedServer, trust: ConfigFile) {
    this.directory = directory;
    this.server = server;
    this.#trust = trust;
  }

  /** @param tpm the server's configuration of the attestor; the roots of that TPM's maker are added, unless it names `ek_enrollment`. */
  static async start(node: SoftwareNode, tpm: ConfigFile): Promise<TpmDomain> {
    const directory = createTemporaryDirectory();
    const roots = directory.join('roots.pem');
    await writeFile(roots, node.swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join(''));
    const trust = 'ek_enrollment' in tpm ? {} : { ek_roots: [roots] };
    const config = {
      plugins: { NodeAttestor: { join_token: undefined, tpm: { ...trust, ...tpm } } },
    };
    const server = await launchServer({ directory: directory.path, config, readyLimitMs: LIMIT_MS });
    return new TpmDomain(directory, server, trust);
  }

  /** With another configuration of the attestor. */
  async restartServer(tpm: ConfigFile): Promise<void> {
    const { configPath } = this.server;
    const before = JSON.parse(await readFile(configPath, 'utf8')) as ConfigFile;
    const attestor = { NodeAttestor: { tpm: undefined } };
    const cleared = mergeConfig(before, { plugins: attestor });
    const config = mergeConfig(cleared, { plugins: { NodeAttestor: { tpm: { ...this.#trust, ...tpm } } } });
    await writeFile(configPath, JSON.stringify(config));
    await this.server.restart();
  }

  /** Starts the machine anew, by another log. */
  async boot(node: SoftwareNode, eventLog: Buffer): Promise<void> {
    await node.boot(eventLog);
    await writeFile(this.#bootLogPath, eventLog);
  }

  async launchAgent(node: SoftwareNode, name = 'agent'): Promise<LaunchedAgent> {
    if (node.eventLog !== undefined) await writeFile(this.#bootLogPath, node.eventLog);
    const agent = await launchAgent({
      server: this.server,
      directory: this.directory.path,
      name,
      attestor: {
        agentId: await agentIdOf(node),
        config: {
          tpm: {
            device: node.swtpm.path,
            event_log_path: this.#bootLogPath,
            ima_list_path: this.directory.join('ima-list'),
          },
        },
      },
      readyLimitMs: LIMIT_MS,
    });
    this.#cleanUps.push(() => agent[Symbol.asyncDispose]());
    return agent;
  }

  /** Nodes with these selectors have an alias, and the workload of this user on them is /web. */
  async registerWeb(...nodeSelectors: readonly string[]): Promise<void> {
    const create = (...args: readonly string[]): Promise<string> =>
      this.server.commandOutput('entry', 'create', ...args);
    await create('-node', '--spiffe-id', ALIAS, ...nodeSelectors.flatMap((text) => ['--selector', text]));
    const uid = process.getuid?.() ?? 0;
    await create('--parent-id', ALIAS, '--spiffe-id', WEB, '--selector', `unix:uid:${uid}`);
  }

  async connect({ socketPath }: LaunchedAgent): Promise<WorkloadProcess> {
    const workload = await WorkloadProcess.start();
    this.#cleanUps.push(() => {
      workload[Symbol.dispose]();
    });
    await workload.connect(socketPath);
    return workload;
  }

  /** Asks for an SVID as often as it takes until a stream brings one. */
  async stream(agent: LaunchedAgent): Promise<OpenStream> {
    const workload = await this.connect(agent);
    return await waitFor(
      'an SVID',
      async () => {
        const call = workload.call(FETCH);
        const refused = workload.status(call).then(() => undefined);
        const message = await Promise.race([workload.message(call), refused]);
        return message === undefined ? undefined : { workload, call, spiffeIds: idsIn(message) };
      },
      { limitMs: LIMIT_MS, intervalMs: 200, explain: () => agent.process.output.slice(-4_000) },
    );
  }

  agentCommand(command: string, agentId: string, ...more: readonly string[]): Promise<string> {
    return this.server.commandOutput('agent', command, '--spiffe-id', agentId, ...more);
  }

  get #bootLogPath(): string {
    return this.directory.join('boot-log');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp();
    await this.server[Symbol.asyncDispose]();
    this.directory.remove();
  }
}

export async function ekHashOf(node: SoftwareNode): Promise<string> {
  return ekHash(publicKeyOf(parseTpmPublic((await node.offer()).ekPublic)));
}

export async function agentIdOf(node: SoftwareNode): Promise<string> {
  return `spiffe://example.org/spire/agent/tpm/${await ekHashOf(node)}`;
}

/** How the agent ends a request for SVIDs. */
export function streamStatus(workload: WorkloadProcess): Promise<WorkloadStatus> {
  return workload.status(workload.call(FETCH));
}

/** How long a stream went on after the agent had begun its last proof, in milliseconds. */
export async function lostAfterProofMs(
  { workload, call }: OpenStream,
  agent: LaunchedAgent,
): Promise<number> {
  const { code } = await waitFor('the stream to end', () => workload.status(call), { limitMs: LIMIT_MS });
  const lostAt = Date.now();
  if (code !== 7) throw new Error(`the stream ended with status ${code}; expected 7, no identity`);
  const begun = [
    ...agent.process.output.matchAll(
      /time="([^"]+)" level=debug msg="proving this node"|"time":"([^"]+)".*proving this node/g,
    ),
  ];
  const [, text = '', json = ''] = begun.at(-1) ?? [];
  const begunAt = Date.parse(text === '' ? json : text);
  if (Number.isNaN(begunAt)) throw new Error('the agent logged no proof');
  return lostAt - begunAt;
}

function idsIn(message: Buffer): readonly string[] {
  return definition.FetchX509SVID.responseDeserialize(message).svids.map(({ spiffeId, x509Svid }) => {
    // The chain is certificates end to end; each says its own length in two bytes after 30 82.
    const verified = parseX509SvidLeaf(x509Svid.subarray(0, 4 + x509Svid.readUInt16BE(2)));
    if (verified.spiffeId !== spiffeId)
      throw new Error(`the SVID of ${spiffeId} is for ${verified.spiffeId}`);
    return spiffeId;
  });
}
