/** What the server answers to a file of entries, put together from its pages. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AgentEffect__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/AgentEffect';
import type { EntryPlanResponse__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanResponse';
import type { PlannedChange__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/PlannedChange';
import type { PlanSummary__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/PlanSummary';
import type { RefusedEntry__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/RefusedEntry';
import type { WorkloadEffect__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/WorkloadEffect';
import { configError } from '@bonafide/shared/config/config-problem';
import type { ServerConnection } from '../server-connection.js';
import type { PlanFile } from './plan-file.js';

export interface ShownPlan extends EntryPlanResponse__Output {
  readonly summary: PlanSummary__Output;
}

interface PlanRequest {
  readonly prune: boolean;
  /** Of the plan that was shown; empty: whatever the plan is. */
  readonly digest?: string;
}

/** @throws BonafideError `invalid_argument` with the place of each entry that is refused. */
export async function askPlan(
  server: ServerConnection,
  method: 'PlanEntries' | 'ApplyEntries',
  file: PlanFile,
  { prune, digest = '' }: PlanRequest,
): Promise<ShownPlan> {
  let summary: PlanSummary__Output | null = null;
  const changes: PlannedChange__Output[] = [];
  const agents: AgentEffect__Output[] = [];
  const workloads: WorkloadEffect__Output[] = [];
  const refused: RefusedEntry__Output[] = [];
  for await (const page of server.planEntries(method, file.requests({ prune, digest }))) {
    summary ??= page.summary;
    changes.push(...page.changes);
    agents.push(...page.agents);
    workloads.push(...page.workloads);
    refused.push(...page.refused);
  }
  if (summary === null) throw new BonafideError('internal', 'the server answered without a plan');
  if (refused.length > 0) throw refusal(file, refused);
  return { summary, changes, agents, workloads, refused };
}

function refusal(file: PlanFile, refused: readonly RefusedEntry__Output[]): BonafideError {
  return configError(
    file.name,
    refused
      .toSorted((a, b) => a.index - b.index)
      .map(({ index, message }) => ({ position: file.positionOf(index), path: `entries.${index}`, message })),
  );
}
