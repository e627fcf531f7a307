/** The log levels in force, as the lines that SPIRE prints, by the names that logrus gives them. */
import { loggerText } from '@bonafide/shared/cli/logger-text';
import type { OutputFormat } from '@bonafide/shared/cli/output';
import type { Logger__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Logger';
import type { PrintedMessage } from '../print-message.js';
import type { ServerFlags } from '../server-flags.js';

export interface LoggerFlags extends ServerFlags {
  readonly output: OutputFormat;
}

export const LOGGER_SERVICE = 'spire.api.server.logger.v1.Logger';

export function printedLogger(logger: Logger__Output): PrintedMessage {
  return {
    service: LOGGER_SERVICE,
    name: 'spire.api.types.Logger',
    message: logger,
    pretty: () => loggerText(logger),
  };
}
