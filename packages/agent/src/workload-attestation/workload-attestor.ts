/** What every workload attestor is: an object in the table of `attestors.ts` that turns a process into selectors. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { z } from 'zod';
import type { AttestedProcess } from './attested-process.js';
import type { KubernetesObjectReference } from './kubernetes-object-reference.js';

export interface WorkloadAttestor {
  /**
   * Everything this attestor can prove about the process, all or nothing: a fact that cannot be read is an error, not an absence. None
   * for a process that is not of its kind, for example no container. Ends soon after the signal fires. Needs not check that the process
   * is still alive; its caller does, after all attestors.
   * @throws BonafideError `unauthenticated` when the process is no longer who it was when it connected: its connection ends. Any other
   * error goes to the log, and this attestor's selectors are missing from the answer.
   */
  attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]>;
  /**
   * Everything this attestor can prove about an object of Kubernetes that a broker names. Absent: it knows nothing of Kubernetes.
   * @throws BonafideError `not_found` when there is no such object on this node.
   */
  attestObject?(reference: KubernetesObjectReference, signal: AbortSignal): Promise<readonly Selector[]>;
  /** Lets go of what it holds, such as a connection; called once, when the agent stops. */
  close?(): void;
}

/** What the agent lends to an attestor. */
export interface WorkloadAttestorHost {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where user and group names are found; parameters so that a test brings its own. */
  readonly passwdPath: string;
  readonly groupPath: string;
}

export interface WorkloadAttestorPlugin<Config> {
  /** Of the part of the configuration file under this attestor's name; refuses what it does not know. */
  readonly configSchema: z.ZodType<Config>;
  /** @throws BonafideError when it cannot work here as it is configured. */
  create(config: Config, host: WorkloadAttestorHost): WorkloadAttestor;
}

/** What the table of plugins holds: whatever a plugin's own configuration is. */
export interface AnyWorkloadAttestorPlugin {
  readonly configSchema: z.ZodType;
  create(config: never, host: WorkloadAttestorHost): WorkloadAttestor;
}
