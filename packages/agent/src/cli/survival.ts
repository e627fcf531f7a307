/** `survival`: for each workload of this node, when it stops working if the server stays away from now on. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { AgentSurvival__Output as AgentReport } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/AgentSurvival';
import type { WorkloadSurvival__Output as WorkloadReport } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/WorkloadSurvival';
import type { Command } from 'commander';
import { addAdminSocketFlags, askAdmin, type AdminSocketFlags } from './admin-socket.js';
import { survivalText } from './survival-text.js';

interface SurvivalFlags extends AdminSocketFlags {
  readonly failUnder?: number;
  readonly output: OutputFormat;
}

interface Report {
  readonly agent: AgentReport;
  readonly workloads: readonly WorkloadReport[];
}

const SERVICE = 'bonafide.agent.v1.Survival';
const LIMIT_MS = 30_000;

export function survival(command: Command, host: CommandHost): void {
  addAdminSocketFlags(command)
    .addOption(
      valueOption(
        '--fail-under <duration>',
        'leaves exit code 1 when the X.509-SVID or the bundle of some workload ends sooner, such as 24h',
        parseDuration,
      ),
    )
    .addOption(outputOption());
  addExamples(command, [
    'bonafide-agent survival --config conf/agent/agent.yaml',
    'bonafide-agent survival --fail-under 24h',
    'bonafide-agent survival --output json',
  ]).action(async (flags: SurvivalFlags) => {
    const { agent, workloads } = await askForReport(flags);
    printAnswer(host, flags.output, {
      json: () => ({
        agent: protoJson(SERVICE, 'bonafide.agent.v1.AgentSurvival', agent),
        workloads: workloads.map((each) => protoJson(SERVICE, 'bonafide.agent.v1.WorkloadSurvival', each)),
      }),
      pretty: () => survivalText(agent, workloads),
    });
    const { failUnder } = flags;
    if (failUnder === undefined) return;
    const short = workloads.filter((workload) => x509Ends(workload) < agent.now + failUnder);
    if (short.length > 0) {
      throw new BonafideError(
        'failed_precondition',
        `${short.length} of ${workloads.length} workloads would be without a valid X.509-SVID or bundle sooner than asked for, ${short[0]?.spiffeId ?? ''} first`,
      );
    }
  });
}

/** Tokens never last long, so that they would fail every demand. */
function x509Ends({ bundleExpiresAt, x509SvidExpiresAt }: WorkloadReport): number {
  return Math.min(bundleExpiresAt, x509SvidExpiresAt);
}

function askForReport(flags: AdminSocketFlags): Promise<Report> {
  return askAdmin(flags, SERVICE, async (client) => {
    let agent: AgentReport | undefined;
    const workloads: WorkloadReport[] = [];
    for await (const message of openServerStream(client, 'Report', {}, { deadlineMs: LIMIT_MS })) {
      agent ??= message.agent ?? undefined;
      if (message.workload) workloads.push(message.workload);
    }
    if (agent === undefined) throw new BonafideError('internal', 'the agent said nothing about itself');
    return { agent, workloads };
  });
}
