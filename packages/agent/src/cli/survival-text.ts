/** The survival report for people: the agent first, then a table of its workloads, those that stop first first. */
import type { AgentSurvival__Output as AgentReport } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/AgentSurvival';
import type { WorkloadSurvival__Output as WorkloadReport } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/WorkloadSurvival';
import { ago, instant, span, table } from './explain/report-words.js';

const WHY: Readonly<Record<WorkloadReport['cause'], string>> = {
  UNSPECIFIED: '',
  NO_SVID: 'it has no X.509-SVID now, and would get none',
  SVID_EXPIRES: 'its X.509-SVID expires',
  BUNDLE_EXPIRES: 'the last authority of its bundle expires',
  TOKEN_EXPIRES: 'the tokens it was given end, and no others can be had',
};

export function survivalText(agent: AgentReport, workloads: readonly WorkloadReport[]): string {
  const { now } = agent;
  const lines = [
    connectionLine(agent),
    agentLine(agent),
    agent.availabilityTarget === 0
      ? 'No availability target is configured'
      : `Availability target: ${span(agent.availabilityTarget)}`,
    '',
  ];
  if (workloads.length === 0) return [...lines, 'No entries are authorized for this agent', ''].join('\n');
  lines.push('If the server stays away from now on:', '');
  const rows = workloads.map((workload) => [
    workload.stopsAt === 0 ? 'now' : moment(workload.stopsAt, now),
    workload.spiffeId,
    workload.isInUse ? 'yes' : 'no',
    agent.availabilityTarget === 0 ? '-' : workload.meetsTarget ? 'met' : 'NOT MET',
    WHY[workload.cause],
  ]);
  return [
    ...lines,
    ...table([['STOPS', 'SPIFFE ID', 'IN USE', 'TARGET', 'BECAUSE'], ...rows]),
    '',
    'Bundles of other trust domains are not counted: what changes there from now on is not heard of',
    '',
  ].join('\n');
}

function connectionLine({ isConnected, lastSyncAt, now, serverAddress }: AgentReport): string {
  if (isConnected) return `Connected to ${serverAddress}`;
  return `Not connected to ${serverAddress}; last heard ${lastSyncAt === 0 ? 'never in this run' : ago(lastSyncAt, now)}`;
}

function agentLine({ agentId, canAttest, now, svidExpiresAt }: AgentReport): string {
  if (agentId === '') return 'The agent is not attested yet';
  const afterwards = canAttest
    ? 'after that it attests again by itself'
    : 'after that it needs new evidence, such as a join token, and workloads get nothing new';
  return `Agent ${agentId}: its own SVID ends ${moment(svidExpiresAt, now)}; ${afterwards}`;
}

/** As in `in 11h 58m (2026-11-23T08:00:00Z)`. */
function moment(seconds: number, now: number): string {
  const at = instant(seconds);
  return seconds <= now ? `now (${at})` : `in ${span(seconds - now)} (${at})`;
}
