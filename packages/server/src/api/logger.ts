/** spire.api.server.logger.v1.Logger: reads and changes the log level of the running server. */
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { createLoggerService } from '@bonafide/shared/rpc/logger-service';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { callContext } from '../access/call-context.js';

/** @param log the program's own; its level at this moment is the launch level. */
export function createLoggerHandlers(log: Logger): Handlers<'spire.api.server.logger.v1.Logger'> {
  return createLoggerService(log, callContext);
}
