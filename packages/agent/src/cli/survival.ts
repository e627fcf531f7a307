/** `survival`: for each workload of this node, when it stops working if the server stays away from now on. */
import { resolve } from 'node:path';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { AgentSurvival__Output as AgentReport } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/AgentSurvival';
import type { WorkloadSurvival__Output as WorkloadReport } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/WorkloadSurvival';
import type { Command } from 'commander';
import { DEFAULT_ADMIN_SOCKET_PATH } from '../configuration/default-admin-socket-path.js';
import { survivalText } from './survival-text.js';
import { createSocketClient } from './workload-socket.js';

interface SurvivalFlags {
  readonly socketPath?: string;
  readonly config?: string;
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
  command
    .option('--socket-path <path>', `the agent's admin socket (default ${DEFAULT_ADMIN_SOCKET_PATH})`)
    .option('--config <file>', "the agent's configuration file, which names its admin socket")
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
    const { agent, workloads } = await askForReport(await adminSocketPath(flags));
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

async function askForReport(socketPath: string): Promise<Report> {
  const client = createSocketClient(socketPath, SERVICE);
  try {
    let agent: AgentReport | undefined;
    const workloads: WorkloadReport[] = [];
    for await (const message of openServerStream(client, 'Report', {}, { deadlineMs: LIMIT_MS })) {
      agent ??= message.agent ?? undefined;
      if (message.workload) workloads.push(message.workload);
    }
    if (agent === undefined) throw new BonafideError('internal', 'the agent said nothing about itself');
    return { agent, workloads };
  } catch (error) {
    if (!hasReason(error, 'unavailable')) throw error;
    const message = error.message.includes('EACCES')
      ? `no permission to use ${socketPath}; the admin socket is for the user that the agent runs as`
      : `no agent has its admin socket at ${socketPath}; start one that has agent.admin_socket_path in its configuration, and name it with --socket-path or --config`;
    throw new BonafideError('unavailable', message, { cause: error });
  } finally {
    client.close();
  }
}

async function adminSocketPath({ config, socketPath }: SurvivalFlags): Promise<string> {
  if (socketPath !== undefined) return resolve(socketPath);
  if (config === undefined) return DEFAULT_ADMIN_SOCKET_PATH;
  const path = await configuredPath(config);
  if (path === undefined) {
    throw invalidArgument(
      `the agent of ${config} has no admin socket; set agent.admin_socket_path, for example ${DEFAULT_ADMIN_SOCKET_PATH}, and restart it`,
    );
  }
  return resolve(path);
}

async function configuredPath(file: string): Promise<string | undefined> {
  const [{ loadConfig }, { agentConfigSchema }] = await Promise.all([
    import('@bonafide/shared/config/load-config'),
    import('../configuration/agent-config.js'),
  ]);
  return (await loadConfig(file, agentConfigSchema)).agent.admin_socket_path;
}
