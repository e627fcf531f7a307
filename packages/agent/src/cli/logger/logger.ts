/** `logger get`, `logger set`, `logger reset`: the log level of the running agent. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { LOGGER_LEVELS, loggerText } from '@bonafide/shared/cli/logger-text';
import { addExamples, oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { Logger__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Logger';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { Command } from 'commander';
import { addAdminSocketFlags, askAdmin, type AdminSocketFlags } from '../admin-socket.js';

interface LoggerFlags extends AdminSocketFlags {
  readonly output: OutputFormat;
}

interface SetFlags extends LoggerFlags {
  readonly level?: keyof typeof LOGGER_LEVELS;
}

const SERVICE = 'spire.api.agent.logger.v1.Logger';
const CALL = { deadlineMs: 10_000 };

export function loggerGet(command: Command, host: CommandHost): void {
  addAdminSocketFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-agent logger get']).action((flags: LoggerFlags) =>
    answer(flags, host, (client) => callUnary(client, 'GetLogger', {}, CALL)),
  );
}

export function loggerSet(command: Command, host: CommandHost): void {
  const level = oneOf('panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace');
  command
    .addOption(valueOption('--level <level>', 'panic, fatal, error, warn, info, debug or trace', level))
    .addOption(outputOption());
  addAdminSocketFlags(command);
  addExamples(command, ['bonafide-agent logger set --level debug']).action((flags: SetFlags) => {
    if (flags.level === undefined)
      throw invalidArgument('a level is required; add --level, for example debug');
    const newLevel = LOGGER_LEVELS[flags.level];
    return answer(flags, host, (client) => callUnary(client, 'SetLogLevel', { newLevel }, CALL));
  });
}

export function loggerReset(command: Command, host: CommandHost): void {
  addAdminSocketFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-agent logger reset']).action((flags: LoggerFlags) =>
    answer(flags, host, (client) => callUnary(client, 'ResetLogLevel', {}, CALL)),
  );
}

async function answer(
  flags: LoggerFlags,
  host: CommandHost,
  call: (client: ServiceClient<typeof SERVICE>) => Promise<Logger__Output>,
): Promise<void> {
  const logger = await askAdmin(flags, SERVICE, call);
  printAnswer(host, flags.output, {
    json: () => protoJson(SERVICE, 'spire.api.types.Logger', logger),
    pretty: () => loggerText(logger),
  });
}
