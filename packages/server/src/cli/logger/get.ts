/** `logger get`: the log level in force, and the one the server started with. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags } from '../server-flags.js';
import { LOGGER_SERVICE, printedLogger, type LoggerFlags } from './logger-text.js';

export function loggerGet(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-server logger get']).action(async (flags: LoggerFlags) => {
    const logger = await withServer(flags, host, (server) => server.call(LOGGER_SERVICE, 'getLogger', {}));
    printMessage(host, flags.output, printedLogger(logger));
  });
}
