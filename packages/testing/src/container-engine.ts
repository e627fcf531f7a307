/** A container engine on a Unix socket, as much of dockerd and podman as attestation asks; it can stall, lie and die in the middle of an answer. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export interface TestContainer {
  readonly id: string;
  readonly pid: number;
  readonly isRunning?: boolean;
  readonly image?: string;
  /** 64 hexadecimal digits. */
  readonly imageId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: readonly string[];
  /** Podman. */
  readonly pod?: { readonly id: string; readonly name: string };
}

/** What it does instead of answering. */
export type EngineLie = (request: IncomingMessage, response: ServerResponse) => void;

const NO_IMAGE = '0'.repeat(64);

export class TestContainerEngine implements AsyncDisposable {
  readonly #server: Server;
  readonly containers = new Map<string, TestContainer>();
  /** Paths of all requests so far. */
  readonly requests: string[] = [];
  connections = 0;
  lie: EngineLie | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', () => (this.connections += 1));
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.requests.push(request.url ?? '');
      if (this.lie === undefined) this.answer(request, response);
      else this.lie(request, response);
    });
  }

  /** @param uid of the user who listens, in the kernel's eyes; needs root. */
  static async start(socketPath: string, uid?: number): Promise<TestContainerEngine> {
    const server = createServer();
    const ownUid = process.geteuid?.() ?? 0;
    const listening = once(server, 'listening');
    // The kernel takes note of the user at the very call that listens.
    if (uid !== undefined) process.seteuid?.(uid);
    server.listen(socketPath);
    if (uid !== undefined) process.seteuid?.(ownUid);
    await listening;
    return new TestContainerEngine(server);
  }

  run(container: TestContainer): void {
    this.containers.set(container.id, container);
  }

  /** The truth. */
  answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').replace(/^\/v\d+\.\d+(?:\.\d+)?(?=\/)/, '');
    if (path === '/_ping') {
      const headers = { 'api-version': '1.50', 'content-type': 'text/plain; charset=utf-8' };
      response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : 'OK');
    } else if (path === '/version') {
      send(response, 200, { Version: '28.2.2', ApiVersion: '1.50', MinAPIVersion: '1.24', Os: 'linux' });
    } else this.#answerInspection(path, response);
  }

  #answerInspection(path: string, response: ServerResponse): void {
    const [, libpod, kind, id = ''] = /^(\/libpod)?\/(containers|pods)\/([^/]+)\/json$/.exec(path) ?? [];
    const containers = [...this.containers.values()];
    const container = this.containers.get(id);
    const pod = containers.find((each) => each.pod?.id === id)?.pod;
    if (kind === 'containers' && container !== undefined) {
      send(response, 200, libpod === undefined ? dockerContainer(container) : libpodContainer(container));
    } else if (kind === 'pods' && libpod !== undefined && pod !== undefined) {
      send(response, 200, { Id: pod.id, Name: pod.name, State: 'Running', NumContainers: 2 });
    } else if (kind === 'containers') {
      send(response, 404, { message: `No such container: ${id}` });
    } else send(response, 404, { message: 'page not found' });
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** As `GET /containers/{id}/json` of the Engine API 1.50 has it, and Podman's copy of it. */
export function dockerContainer(container: TestContainer): Record<string, unknown> {
  const { id, image = 'web:1', imageId = NO_IMAGE, labels = {}, env = [] } = container;
  return {
    Id: id,
    Created: '2026-01-02T03:04:05.678901234Z',
    Path: 'sleep',
    Args: ['60'],
    State: stateOf(container),
    Image: `sha256:${imageId}`,
    Name: '/web',
    RestartCount: 0,
    Driver: 'overlay2',
    HostConfig: { CgroupParent: '', CgroupnsMode: 'private', PidMode: '', Privileged: false },
    Config: {
      Hostname: id.slice(0, 12),
      User: '',
      Env: env,
      Cmd: ['sleep', '60'],
      Image: image,
      Labels: labels,
    },
  };
}

/** As `GET /v4.0.0/libpod/containers/{id}/json` has it. */
export function libpodContainer(container: TestContainer): Record<string, unknown> {
  const { image = 'docker.io/library/web:1', imageId = NO_IMAGE, pod } = container;
  return {
    ...dockerContainer({ ...container, image }),
    Image: imageId,
    ImageName: image,
    Rootfs: '',
    Pod: pod?.id ?? '',
    Name: 'web',
  };
}

function stateOf({ isRunning = true, pid }: TestContainer): Record<string, unknown> {
  return {
    Status: isRunning ? 'running' : 'exited',
    Running: isRunning,
    Paused: false,
    Restarting: false,
    OOMKilled: false,
    Dead: false,
    Pid: isRunning ? pid : 0,
    ExitCode: 0,
    Error: '',
  };
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'api-version': '1.50' });
  response.end(`${JSON.stringify(value)}\n`);
}
