/** Constructs what explains processes: to the agent's owner, and to a process itself. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { ServerChannels } from '../agent-identity/server-connection.js';
import type { DepartedEntries } from '../explain/departed-entries.js';
import { ProcessExplanations } from '../explain/explain-process.js';
import type { Quarantine } from '../quarantine/quarantine.js';
import type { NodeSurvival } from '../survival/node-survival.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { SvidRenewal } from '../svid-renewal/svid-renewal.js';
import { createServerWitness } from '../sync/ask-about-workload.js';
import type { EntrySync } from '../sync/entry-sync.js';
import { createWorkloadExamination } from '../workload-attestation/attest-workload.js';
import { PasswdFile } from '../workload-attestation/passwd-file.js';
import type { WorkloadAttestor, WorkloadAttestorHost } from '../workload-attestation/workload-attestor.js';

/** What the rest of the agent lends. */
export interface ExplainedAgent {
  readonly departed: DepartedEntries;
  readonly renewal: SvidRenewal;
  readonly quarantine: Quarantine;
  readonly connection: ServerChannels;
  readonly sync: EntrySync;
}

export function createExplanations(options: {
  readonly agent: ExplainedAgent;
  readonly attestors: ReadonlyMap<string, WorkloadAttestor>;
  readonly host: Pick<WorkloadAttestorHost, 'passwdPath' | 'groupPath'>;
  readonly cache: SvidCache;
  readonly survival: NodeSurvival;
  readonly clock: Clock;
  readonly log: Logger;
}): ProcessExplanations {
  const { agent, attestors, cache, clock, host, log, survival } = options;
  const { connection, departed, quarantine, renewal, sync } = agent;
  return new ProcessExplanations({
    ...{ cache, renewal, departed, survival, quarantine, clock },
    examine: createWorkloadExamination({ attestors, clock }),
    names: {
      users: new PasswdFile({ path: host.passwdPath, log }),
      groups: new PasswdFile({ path: host.groupPath, log }),
    },
    server: createServerWitness({ connection, sync }),
  });
}
