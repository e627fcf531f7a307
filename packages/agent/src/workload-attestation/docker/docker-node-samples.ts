/** A node with Docker for tests: an engine that runs one container, and processes in whatever control groups a test wants. */
import { formatSelector } from '@bonafide/shared/registration/selector';
import { dockerContainer, TestContainerEngine, type EngineLie } from '@bonafide/testing/container-engine';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import type { AttestedProcess } from '../attested-process.js';
import { attestorHost } from '../attestor-host-samples.js';
import { writeProcessFolder } from '../container/process-folder-samples.js';
import { docker, DockerAttestor } from './docker.js';

export const A = '9bca8d63d5fa610783847915bcff0ecac1273e5b4bed3f6fa1b07350e0135961';
export const B = '34a2062fd26c805aa8cf814cdfe479322b791f80afb9ea4db02d50375df14b41';
const IMAGE = 'f00d'.repeat(16);
/** The first process of container A. */
export const FIRST = 100;

/** Of container A. */
export const SELECTORS = [
  'docker:label:com.example.name:foo',
  'docker:label:empty:',
  'docker:env:VAR=val',
  'docker:env:PATH=/bin:/usr/bin',
  'docker:image_id:envoyproxy/envoy:v1.29.1',
  `docker:image_config_digest:sha256:${IMAGE}`,
];

export const truth = dockerContainer({ id: A, pid: FIRST });

export function says(value: unknown, status = 200): EngineLie {
  return (_, response) => response.writeHead(status).end(JSON.stringify(value));
}

export class DockerNode implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly #attestors: DockerAttestor[] = [];
  engine: TestContainerEngine;

  private constructor(directory: TemporaryDirectory, engine: TestContainerEngine) {
    this.directory = directory;
    this.engine = engine;
  }

  static async start(): Promise<DockerNode> {
    const directory = createTemporaryDirectory();
    const engine = await TestContainerEngine.start(directory.join('docker.sock'));
    engine.run({
      id: A,
      pid: FIRST,
      image: 'envoyproxy/envoy:v1.29.1',
      imageId: IMAGE,
      labels: { 'com.example.name': 'foo', empty: '' },
      env: ['VAR=val', 'PATH=/bin:/usr/bin'],
    });
    const node = new DockerNode(directory, engine);
    node.processFolder(FIRST, `/docker/${A}`);
    node.processFolder('self', '/agent');
    return node;
  }

  processFolder(pid: number | string, cgroup: string): string {
    return writeProcessFolder(this.directory.join('proc', String(pid)), { cgroups: [`0::${cgroup}`] });
  }

  /** A process that the test puts into this control group. */
  caller(cgroup: string): AttestedProcess {
    return { pid: 7, uid: 1000, gid: 1000, procPath: this.processFolder(7, cgroup), isAlive: () => true };
  }

  attestor(config: Record<string, unknown> = {}): DockerAttestor {
    const docker_socket_path = `unix://${this.directory.join('docker.sock')}`;
    const made = new DockerAttestor(
      docker.configSchema.parse({ docker_socket_path, ...config }),
      attestorHost(),
      { procRoot: this.directory.join('proc'), ownProcPath: this.directory.join('proc', 'self') },
    );
    this.#attestors.push(made);
    return made;
  }

  async attest(
    cgroup: string,
    config: Record<string, unknown> = {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<readonly string[]> {
    return (await this.attestor(config).attest(this.caller(cgroup), signal)).map(formatSelector);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const attestor of this.#attestors) attestor.close();
    await this.engine.stop();
    this.directory.remove();
  }
}
