/** `healthcheck`: exit code 0 exactly when the server answers that it is serving. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { healthCheckLines } from '@bonafide/shared/cli/health-checks';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { CHECKS_HEADER, DEGRADED_HEADER } from '@bonafide/shared/rpc/health-header';
import type { Command } from 'commander';
import { withServer } from './server-connection.js';
import { addServerFlags, type ServerFlags } from './server-flags.js';

interface HealthcheckFlags extends ServerFlags {
  readonly shallow?: boolean;
  readonly verbose?: boolean;
}

export function healthcheck(command: Command, host: CommandHost): void {
  command
    .addOption(switchOption('--shallow', 'accepted for the sake of scripts; the check is the same'))
    .addOption(switchOption('--verbose', 'tells what is being done'));
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server healthcheck',
    'bonafide-server healthcheck --verbose --socket-path /run/bonafide/server.sock',
  ]).action(async (flags: HealthcheckFlags) => {
    if (flags.verbose === true) host.stdout.write('Checking server health...\n');
    const { status, degradations, checks } = await health(flags, host);
    if (flags.verbose === true) host.stdout.write(checks.map((line) => `${line}\n`).join(''));
    if (status !== 'SERVING') {
      throw new BonafideError(
        'unavailable',
        `server is unhealthy: server returned status ${JSON.stringify(status)}`,
      );
    }
    host.stdout.write(['Server is healthy.', ...degradations, ''].join('\n'));
  });
}

async function health(
  flags: ServerFlags,
  host: CommandHost,
): Promise<{
  readonly status: string;
  readonly degradations: readonly string[];
  /** Lines. */
  readonly checks: readonly string[];
}> {
  let checks: readonly string[] = [];
  const degradations: string[] = [];
  try {
    const { status } = await withServer(flags, host, (server) =>
      server.call('grpc.health.v1.Health', 'check', {}, (headers) => {
        degradations.push(...headers.get(DEGRADED_HEADER).map(String));
        checks = healthCheckLines(headers.get(CHECKS_HEADER)[0]);
      }),
    );
    return { status, degradations, checks };
  } catch (error) {
    throw new BonafideError(
      'unavailable',
      `server is unhealthy: unable to determine health: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}
