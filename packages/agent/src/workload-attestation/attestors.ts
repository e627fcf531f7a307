/** The workload attestors that are built in, by the name under which the configuration asks for them: add one here. */
import { z } from 'zod';
import { docker } from './docker/docker.js';
import { k8s } from './k8s/k8s.js';
import { podman } from './podman/podman.js';
import { systemd } from './systemd/systemd.js';
import { unix } from './unix.js';
import type {
  AnyWorkloadAttestorPlugin,
  WorkloadAttestor,
  WorkloadAttestorHost,
} from './workload-attestor.js';

export const WORKLOAD_ATTESTORS = {
  docker,
  k8s,
  podman,
  systemd,
  unix,
} as const satisfies Record<string, AnyWorkloadAttestorPlugin>;

type AttestorName = keyof typeof WORKLOAD_ATTESTORS;
type SchemaOf<Name extends AttestorName> = (typeof WORKLOAD_ATTESTORS)[Name]['configSchema'];

const NAMES = Object.keys(WORKLOAD_ATTESTORS) as AttestorName[];

/** The `WorkloadAttestor` part of the agent's configuration: an attestor runs when it is named. */
export const workloadAttestorsConfigSchema = z.strictObject(
  Object.fromEntries(NAMES.map((name) => [name, WORKLOAD_ATTESTORS[name].configSchema.optional()])) as {
    readonly [Name in AttestorName]: z.ZodOptional<SchemaOf<Name>>;
  },
);
export type WorkloadAttestorsConfig = z.output<typeof workloadAttestorsConfigSchema>;

/** The attestors that the configuration names, by name. */
export function createWorkloadAttestors(
  config: WorkloadAttestorsConfig,
  host: WorkloadAttestorHost,
): ReadonlyMap<string, WorkloadAttestor> {
  const attestors = new Map<string, WorkloadAttestor>();
  for (const name of NAMES) {
    const plugin: AnyWorkloadAttestorPlugin = WORKLOAD_ATTESTORS[name];
    // What the schema of the same plugin made.
    if (config[name] !== undefined) attestors.set(name, plugin.create(config[name] as never, host));
  }
  return attestors;
}
