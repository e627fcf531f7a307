/** The `docker` workload attestor: labels, variables and image of the caller's container, by Docker or Podman; the selectors are SPIRE's. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import { z } from 'zod';
import type { AttestedProcess } from '../attested-process.js';
import { readCgroups } from '../cgroups.js';
import { ContainerEngine } from '../container/container-engine.js';
import { matchContainer, parseContainerMatchers } from '../container/container-matchers.js';
import { containerOf, type ContainerLocation } from '../container/container-of.js';
import { containerSelectors, labelsAndVariables } from '../container/container-selectors.js';
import { parseEngineAddress } from '../container/engine-address.js';
import type { EngineContainer } from '../container/engine-container.js';
import { inspectContainer, REAL_PROCESSES, type ProcessView } from '../container/inspect-container.js';
import { isOfPodman, PodmanEngines, podmanKeys } from '../container/podman-engines.js';
import type { WorkloadAttestor, WorkloadAttestorHost, WorkloadAttestorPlugin } from '../workload-attestor.js';

const configSchema = z
  .strictObject({
    docker_socket_path: parsedString(parseEngineAddress).prefault('unix:///var/run/docker.sock'),
    /** Of the Engine API, for example `1.43`; the engine's own unless told. */
    docker_version: z
      .string()
      .regex(/^(?:\d{1,3}\.\d{1,3})?$/, 'expected a version of the Engine API, for example 1.43')
      .optional(),
    ...podmanKeys,
    container_id_cgroup_matchers: z.array(z.string().max(4096)).max(100).default([]),
    use_new_container_locator: z.boolean().default(true),
    verbose_container_locator_logs: z.boolean().default(false),
    /** Whether the container's first process must be visible and in the caller's container. */
    verify_container_process: z.boolean().default(true),
    sigstore: z.never({ error: 'sigstore is not supported; select image_config_digest instead' }).optional(),
  })
  .superRefine(({ container_id_cgroup_matchers: patterns, use_new_container_locator }, context) => {
    const path = ['container_id_cgroup_matchers'];
    if (patterns.length > 0 && use_new_container_locator) {
      context.addIssue({ code: 'custom', path, message: 'needs use_new_container_locator: false' });
    }
    try {
      parseContainerMatchers(patterns);
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      context.addIssue({ code: 'custom', path, message: error.message });
    }
  });

type DockerConfig = z.output<typeof configSchema>;

export const docker = {
  configSchema,
  create: (config, host): WorkloadAttestor => new DockerAttestor(config, host),
} satisfies WorkloadAttestorPlugin<DockerConfig>;

export class DockerAttestor implements WorkloadAttestor {
  readonly #config: DockerConfig;
  readonly #log: WorkloadAttestorHost['log'];
  readonly #view: ProcessView;
  readonly #docker: ContainerEngine;
  readonly #podman: PodmanEngines;
  readonly #locate: (process: Pick<AttestedProcess, 'procPath'>) => ContainerLocation | undefined;

  constructor(
    config: DockerConfig,
    { clock, log }: WorkloadAttestorHost,
    view: ProcessView = REAL_PROCESSES,
  ) {
    this.#config = config;
    this.#log = log;
    this.#view = view;
    this.#docker = new ContainerEngine({
      socketPath: config.docker_socket_path,
      clock,
      keepsConnection: true,
    });
    this.#podman = new PodmanEngines(config, clock);
    const matchers = parseContainerMatchers(config.container_id_cgroup_matchers);
    this.#locate =
      matchers.length > 0
        ? (process) => matchContainer(process, matchers)
        : (process) =>
            containerOf(process, {
              ...{ allowsUserOwned: true, allowsMountTable: config.verify_container_process },
              ownProcPath: view.ownProcPath,
            });
  }

  async attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]> {
    if (this.#config.verbose_container_locator_logs) {
      this.#log.debug({ pid: process.pid, cgroups: readCgroups(process) }, 'control groups of the process');
    }
    const location = this.#locate(process);
    if (location === undefined || isOfAnotherKind(location)) return [];
    const isPodman = isOfPodman(location);
    const container = await inspectContainer({
      engine: isPodman ? this.#podman.engineOf(location) : this.#docker,
      apiPrefix: isPodman ? '' : apiPrefix(this.#config.docker_version),
      process,
      location,
      locate: this.#locate,
      procRoot: this.#config.verify_container_process ? this.#view.procRoot : undefined,
      signal,
    });
    if (container !== undefined) return containerSelectors('docker', dockerValues(container));
    // Of a pod, whoever runs it; the kubelet knows it, and this engine need not.
    if (location.podUid !== undefined) return [];
    throw new BonafideError('not_found', `the engine knows no container ${location.containerId}`);
  }

  close(): void {
    this.#docker.close();
    this.#podman.close();
  }
}

/** Containers that are certainly no engine's that has this API. */
function isOfAnotherKind({ prefix }: ContainerLocation): boolean {
  return prefix === 'cri-containerd' || prefix === 'crio' || prefix === 'nerdctl';
}

function apiPrefix(version: string | undefined): string {
  return version === undefined || version === '' ? '' : `/v${version}`;
}

/** The image's ID is the container's own, not what its name leads to by now: the name may have moved to another image. */
function dockerValues(container: EngineContainer): readonly string[] {
  const { image, imageId } = container;
  return [
    ...labelsAndVariables(container),
    ...(image === undefined ? [] : [`image_id:${image}`]),
    ...(image === undefined || imageId === undefined ? [] : [`image_config_digest:${imageId}`]),
  ];
}
