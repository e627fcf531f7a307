/** A node with every kind of workload: engines, a kubelet, a message bus with systemd on it, and one real server and agent beside them. */
import { once } from 'node:events';
import { chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { loadService } from '@bonafide/shared/rpc/load-service';
import {
  answer,
  serveInPlaceOfBus,
  serveOnBus,
} from '@bonafide/agent/workload-attestation/systemd/bus-samples';
import { TestContainerEngine } from '@bonafide/testing/container-engine';
import { createControlGroup, type ControlGroup } from '@bonafide/testing/control-group';
import { Kubelet } from '@bonafide/testing/kubelet';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { hasMessageBus, startMessageBus } from '@bonafide/testing/message-bus';
import type { Account } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';

export const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
/** Who runs a Podman of its own. */
export const OWNER = { uid: 64_501, gid: 64_501 };
export const OWNERS_GROUPS = `/user.slice/user-${OWNER.uid}.slice/user@${OWNER.uid}.service`;
const NODE = 'spiffe://example.org/node';
const { definition } = loadService('SpiffeWorkloadAPI');

interface LogLine {
  readonly msg?: string;
  readonly attestor?: string;
  readonly pid?: number;
  readonly request_id?: string;
  readonly err?: { readonly message: string };
}

export class WorkloadNode implements AsyncDisposable {
  readonly #directory: TemporaryDirectory;
  readonly #cleanups: (() => unknown)[] = [];
  readonly #workloads: WorkloadProcess[] = [];
  readonly #groups: ControlGroup[] = [];
  /** What systemd says of each unit. */
  readonly units = new Map<string, Readonly<Record<string, string>>>();
  readonly docker: TestContainerEngine;
  readonly podman: TestContainerEngine;
  /** Of `OWNER`. */
  readonly rootless: TestContainerEngine;
  readonly kubelet: Kubelet;
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;

  private constructor(parts: NodeParts) {
    this.#directory = parts.directory;
    this.docker = parts.docker;
    this.podman = parts.podman;
    this.rootless = parts.rootless;
    this.kubelet = parts.kubelet;
    this.server = parts.server;
    this.agent = parts.agent;
  }

  static async start(): Promise<WorkloadNode> {
    const directory = createTemporaryDirectory({ isPublic: true });
    const usersFolder = directory.join(`user-${OWNER.uid}`);
    mkdirSync(usersFolder);
    chownSync(usersFolder, OWNER.uid, OWNER.gid);
    const kubelet = await Kubelet.start();
    writeFileSync(directory.join('kubelet-ca.pem'), kubelet.ca);
    writeFileSync(directory.join('token'), 'token-of-the-agent\n', { mode: 0o600 });
    const engine = (name: string, uid?: number): Promise<TestContainerEngine> =>
      TestContainerEngine.start(directory.join(name), uid);
    const docker = await engine('docker.sock');
    const podman = await engine('podman.sock');
    const rootless = await engine(`user-${OWNER.uid}/podman.sock`, OWNER.uid);
    const server = await launchServer({ directory: directory.path, readyLimitMs: 120_000 });
    const agent = await launchAgent({
      ...{ server, directory: directory.path, spiffeId: NODE, readyLimitMs: 120_000 },
      config: { agent: { log_format: 'json' }, plugins: { WorkloadAttestor: attestors(directory, kubelet) } },
    });
    const node = new WorkloadNode({ directory, docker, podman, rootless, kubelet, server, agent });
    await node.#startBus();
    return node;
  }

  /** Resolves once the agent holds the entry. */
  async register(path: string, ...selectors: readonly string[]): Promise<void> {
    await this.server.commandOutput(
      ...['entry', 'create', '--parent-id', NODE, '--spiffe-id', `spiffe://example.org${path}`],
      ...selectors.flatMap((selector) => ['--selector', selector]),
      '--wait=60s',
    );
  }

  /** A control group that is gone when the node is; a group that exists already is given again. */
  group(path: string): ControlGroup {
    const group = createControlGroup(path);
    this.#groups.push(group);
    return group;
  }

  /** A process that has called nobody yet. @param path of its control group; undefined: where this test is. */
  async process(path?: string, account?: Account): Promise<WorkloadProcess> {
    const workload = await WorkloadProcess.start(account);
    this.keep(workload);
    if (path !== undefined) this.group(path).add(pidOf(workload));
    return workload;
  }

  keep(workload: WorkloadProcess): void {
    this.#workloads.push(workload);
  }

  /** The SPIFFE IDs that the process is given; none when it is told that there are none. */
  async identities(workload: WorkloadProcess): Promise<readonly string[]> {
    await workload.connect(this.agent.socketPath);
    return await this.identitiesOf(workload, workload.call(FETCH));
  }

  async identitiesOf(workload: WorkloadProcess, call: number): Promise<readonly string[]> {
    return await waitFor(
      'identities, or a status',
      () => {
        const [message] = workload.messages(call);
        if (message !== undefined) return idsIn(message);
        const { code, message: words } = workload.statusNow(call) ?? {};
        if (code === undefined) return undefined;
        return code === 7 && words === 'no identity issued' ? [] : [`status ${code}: ${words ?? ''}`];
      },
      { limitMs: 150_000 },
    );
  }

  /** What the agent's log says of an attestor that failed for this process. */
  failures(workload: WorkloadProcess): readonly LogLine[] {
    return this.agent.process.output
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine)
      .filter(({ msg, pid }) => msg === 'workload attestor failed' && pid === pidOf(workload));
  }

  /** Of the agent: its sockets, and the processes that it holds; not this test, which asks whether it is ready. */
  descriptors(): { readonly sockets: number; readonly processes: readonly string[] } {
    const proc = `/proc/${this.agent.process.pid}`;
    const kinds = readdirSync(`${proc}/fd`).flatMap((fd) => {
      try {
        const target = readlinkSync(`${proc}/fd/${fd}`);
        if (!target.includes('pidfd')) return [target];
        const pid = /^Pid:\s*(\S+)$/m.exec(readFileSync(`${proc}/fdinfo/${fd}`, 'utf8'))?.[1];
        return pid === String(process.pid) ? [] : [`pidfd of ${pid ?? 'nobody'}`];
      } catch {
        return []; // closed meanwhile
      }
    });
    return {
      sockets: kinds.filter((kind) => kind.startsWith('socket:')).length,
      processes: kinds.filter(
        (kind) => /^pidfd|^\/proc\/\d+/.test(kind) && !kind.startsWith(`/proc/${process.pid}`),
      ),
    };
  }

  /** Ends every lie of the stand-ins. */
  async repair(): Promise<void> {
    for (const engine of [this.docker, this.podman, this.rootless]) engine.lie = undefined;
    if (!this.kubelet.isListening) await this.kubelet.listen(this.kubelet.port);
  }

  /** Ends the workloads so far, and waits until they are gone. */
  async endWorkloads(): Promise<void> {
    for (const { child } of this.#workloads.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endWorkloads();
    await this.agent.stop();
    await this.server.stop();
    for (const end of this.#cleanups.reverse()) await end();
    for (const part of [this.docker, this.podman, this.rootless]) await part.stop();
    await this.kubelet[Symbol.asyncDispose]();
    for (const group of this.#groups) group[Symbol.dispose]();
    this.#directory.remove();
  }

  async #startBus(): Promise<void> {
    const path = this.#directory.join('bus');
    if (hasMessageBus()) {
      const bus = await startMessageBus(path);
      this.#cleanups.push(() => bus.stop());
      const systemd = await serveOnBus(path, this.units);
      this.#cleanups.push(systemd.close);
    } else {
      const bus = await serveInPlaceOfBus(path, (call, socket) => socket.write(answer(call, this.units)));
      this.#cleanups.push(() => bus.close());
    }
  }
}

type NodeParts = Pick<WorkloadNode, 'docker' | 'podman' | 'rootless' | 'kubelet' | 'server' | 'agent'> & {
  readonly directory: TemporaryDirectory;
};

/** All that there are. */
function attestors(directory: TemporaryDirectory, kubelet: Kubelet): ConfigFile {
  const podman = {
    podman_socket_path: `unix://${directory.join('podman.sock')}`,
    podman_socket_path_template: `unix://${directory.join('user-%d', 'podman.sock')}`,
    rootless_uids: [OWNER.uid],
  };
  return {
    unix: {},
    docker: { docker_socket_path: `unix://${directory.join('docker.sock')}`, ...podman },
    podman,
    k8s: {
      ...{ kubelet_secure_port: kubelet.port, node_name: 'localhost' },
      ...{ kubelet_ca_path: directory.join('kubelet-ca.pem'), token_path: directory.join('token') },
      ...{ max_poll_attempts: 3, poll_retry_interval: '100ms' },
    },
    systemd: { dbus_socket_path: directory.join('bus') },
  };
}

export function pidOf({ child }: WorkloadProcess): number {
  if (child.pid === undefined) throw new Error('the workload process has not started');
  return child.pid;
}

function idsIn(message: Buffer): readonly string[] {
  return definition.FetchX509SVID.responseDeserialize(message).svids.map(({ spiffeId }) => spiffeId);
}
