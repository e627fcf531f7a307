/** What every workload attestor is: an object in the table of `attestors.ts` that turns a process into selectors. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { z } from 'zod';
import type { AttestedProcess } from './attested-process.js';

export interface WorkloadAttestor {
  /**
   * Everything this attestor can prove about the process, all or nothing: a fact that cannot be read is an error, not an absence.
   * Ends soon after the signal fires. Needs not check that the process is still alive; its caller does, after all attestors.
   * @throws BonafideError `unauthenticated` when the process is no longer who it was when it connected: its connection ends. Any other
   * error goes to the log, and this attestor's selectors are missing from the answer.
   */
  attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]>;
}

/** What the agent lends to an attestor. */
export interface WorkloadAttestorHost {
  readonly log: Logger;
  /** Where user and group names are found; parameters so that a test brings its own. */
  readonly passwdPath: string;
  readonly groupPath: string;
}

export interface WorkloadAttestorPlugin<Schema extends z.ZodType = z.ZodType> {
  /** Of the part of the configuration file under this attestor's name; refuses what it does not know. */
  readonly configSchema: Schema;
  create(config: z.output<Schema>, host: WorkloadAttestorHost): WorkloadAttestor;
}
