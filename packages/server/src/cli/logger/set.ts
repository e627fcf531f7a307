/** `logger set`: another log level until the server ends or `logger reset`. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { LOGGER_LEVELS } from '@bonafide/shared/cli/logger-text';
import { addExamples, oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags } from '../server-flags.js';
import { LOGGER_SERVICE, printedLogger, type LoggerFlags } from './logger-text.js';

interface SetFlags extends LoggerFlags {
  readonly level?: keyof typeof LOGGER_LEVELS;
}

export function loggerSet(command: Command, host: CommandHost): void {
  const level = oneOf('panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace');
  command
    .addOption(valueOption('--level <level>', 'panic, fatal, error, warn, info, debug or trace', level))
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, ['bonafide-server logger set --level debug']).action(async (flags: SetFlags) => {
    if (flags.level === undefined)
      throw invalidArgument('a level is required; add --level, for example debug');
    const newLevel = LOGGER_LEVELS[flags.level];
    const logger = await withServer(flags, host, (server) =>
      server.call(LOGGER_SERVICE, 'setLogLevel', { newLevel }),
    );
    printMessage(host, flags.output, printedLogger(logger));
  });
}
