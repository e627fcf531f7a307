/** The table of workload attestors: add one here, and configuration, documentation and start-up know it. */
import { z } from 'zod';
import { unix } from './unix.js';
import type { WorkloadAttestor, WorkloadAttestorHost, WorkloadAttestorPlugin } from './workload-attestor.js';

export const WORKLOAD_ATTESTORS = { unix } satisfies Record<string, WorkloadAttestorPlugin>;

/** The `WorkloadAttestor` part of the agent's configuration: an attestor runs when it is named. */
export const workloadAttestorsConfigSchema = z.strictObject({ unix: unix.configSchema.optional() });
export type WorkloadAttestorsConfig = z.output<typeof workloadAttestorsConfigSchema>;

/** The attestors that the configuration names, by name. */
export function createWorkloadAttestors(
  config: WorkloadAttestorsConfig,
  host: WorkloadAttestorHost,
): ReadonlyMap<string, WorkloadAttestor> {
  const attestors = new Map<string, WorkloadAttestor>();
  if (config.unix !== undefined) attestors.set('unix', WORKLOAD_ATTESTORS.unix.create(config.unix, host));
  return attestors;
}
