/** The `podman` workload attestor: labels, variables, image and pod of the caller's container, by root's Podman or a user's own. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import { z } from 'zod';
import type { AttestedProcess } from '../attested-process.js';
import type { ContainerEngine } from '../container/container-engine.js';
import { containerOf, type ContainerLocation } from '../container/container-of.js';
import { containerSelectors, labelsAndVariables } from '../container/container-selectors.js';
import {
  enginesOf,
  inspectContainer,
  REAL_PROCESSES,
  type ProcessView,
} from '../container/inspect-container.js';
import { isOfPodman, PodmanEngines, podmanKeys } from '../container/podman-engines.js';
import type { WorkloadAttestor, WorkloadAttestorHost, WorkloadAttestorPlugin } from '../workload-attestor.js';

const configSchema = z.strictObject({
  ...podmanKeys,
  /** Whether the container's first process must be visible and in the caller's container. */
  verify_container_process: z.boolean().default(true),
});

type PodmanConfig = z.output<typeof configSchema>;

/** Podman's own API since version 4; the one that it shares with Docker knows no pods. */
const API_PREFIX = '/v4.0.0/libpod';

const podSchema = z.object({ Id: z.string(), Name: z.string().min(1) });

export const podman = {
  configSchema,
  create: (config, host): WorkloadAttestor => new PodmanAttestor(config, host),
} satisfies WorkloadAttestorPlugin<PodmanConfig>;

export class PodmanAttestor implements WorkloadAttestor {
  readonly #config: PodmanConfig;
  readonly #view: ProcessView;
  readonly #engines: PodmanEngines;

  constructor(config: PodmanConfig, { clock }: WorkloadAttestorHost, view: ProcessView = REAL_PROCESSES) {
    this.#config = config;
    this.#view = view;
    this.#engines = new PodmanEngines(config, clock);
  }

  async attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]> {
    const locate = (one: Pick<AttestedProcess, 'procPath'>): ContainerLocation | undefined =>
      containerOf(one, {
        ...{ allowsUserOwned: true, allowsMountTable: this.#config.verify_container_process },
        ownProcPath: this.#view.ownProcPath,
      });
    const location = locate(process);
    if (location === undefined || !isOfPodman(location)) return [];
    const engine = this.#engines.engineOf(location);
    const container = await inspectContainer({
      engine,
      apiPrefix: API_PREFIX,
      process,
      location,
      locate,
      procRoot: this.#config.verify_container_process ? this.#view.procRoot : undefined,
      signal,
    });
    if (container === undefined) {
      throw new BonafideError('not_found', `podman knows no container ${location.containerId}`);
    }
    const { image, imageId, podId } = container;
    const pod = podId === undefined ? undefined : await podName(engine, { podId, location, signal });
    return containerSelectors('podman', [
      `uid:${location.ownerUid ?? 0}`,
      ...labelsAndVariables(container),
      ...(image === undefined ? [] : [`image:${image}`]),
      ...(imageId === undefined ? [] : [`image_id:${imageId}`]),
      ...(pod === undefined ? [] : [`pod:${pod}`]),
    ]);
  }

  close(): void {
    this.#engines.close();
  }
}

interface PodQuestion {
  readonly podId: string;
  readonly location: ContainerLocation;
  readonly signal: AbortSignal;
}

async function podName(engine: ContainerEngine, { podId, location, signal }: PodQuestion): Promise<string> {
  if (!/^[0-9a-f]{64}$/.test(podId)) throw unreadable();
  const answer = await engine.get(`${API_PREFIX}/pods/${podId}/json`, enginesOf(location), signal);
  const { success, data } = podSchema.safeParse(answer);
  if (!success || data.Id !== podId) throw unreadable();
  return data.Name;
}

function unreadable(): BonafideError {
  return new BonafideError(
    'failed_precondition',
    "podman's description of the container's pod is not readable",
  );
}
