/** `healthcheck`: exit code 0 exactly when the agent answers that it is serving. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { healthCheckLines } from '@bonafide/shared/cli/health-checks';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { CHECKS_HEADER } from '@bonafide/shared/rpc/health-header';
import type { Command } from 'commander';
import {
  addSocketFlags,
  createSocketClient,
  explainUnreachable,
  workloadSocketPath,
  type SocketFlags,
} from './workload-socket.js';

interface HealthcheckFlags extends SocketFlags {
  readonly shallow?: boolean;
  readonly verbose?: boolean;
}

const LIMIT_MS = 10_000;

export function healthcheck(command: Command, host: CommandHost): void {
  command
    .addOption(switchOption('--shallow', 'accepted for the sake of scripts; the check is the same'))
    .addOption(
      switchOption('--verbose', 'tells what is being done, and to the owner of the agent each check'),
    );
  addSocketFlags(command);
  addExamples(command, [
    'bonafide-agent healthcheck',
    'bonafide-agent healthcheck --verbose --socket-path /run/bonafide/agent.sock',
  ]).action(async (flags: HealthcheckFlags) => {
    if (flags.verbose === true) host.stdout.write('Checking agent health...\n');
    const status = await servingStatus(flags, host);
    if (status !== 'SERVING') throw unhealthy(`agent returned status ${JSON.stringify(status)}`);
    host.stdout.write('Agent is healthy.\n');
  });
}

async function servingStatus(flags: HealthcheckFlags, host: CommandHost): Promise<string> {
  const socketPath = workloadSocketPath(flags, host.environment);
  const client = createSocketClient(socketPath, 'grpc.health.v1.Health');
  try {
    const { status } = await callUnary(
      client,
      'Check',
      {},
      {
        deadlineMs: LIMIT_MS,
        onHeaders: (headers) => {
          if (flags.verbose !== true) return;
          for (const line of healthCheckLines(headers.get(CHECKS_HEADER)[0])) host.stdout.write(`${line}\n`);
        },
      },
    );
    return status;
  } catch (cause) {
    const error = explainUnreachable(cause, socketPath);
    if (flags.verbose === true) host.stderr.write(`Failed to check health: ${errorMessage(error)}\n`);
    throw unhealthy(`unable to determine health: ${errorMessage(error)}`, cause);
  } finally {
    client.close();
  }
}

function unhealthy(why: string, cause?: unknown): BonafideError {
  return new BonafideError('unavailable', `Agent is unhealthy: ${why}`, { cause });
}
