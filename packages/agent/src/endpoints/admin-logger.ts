/** spire.api.agent.logger.v1.Logger on the admin socket. */
import type { Server } from '@grpc/grpc-js';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { createLoggerService } from '@bonafide/shared/rpc/logger-service';
import type { Logger } from '@bonafide/shared/runtime/logger';

/** @param log the program's own; its level at this moment is the launch level. */
export function addLoggerService(server: Server, log: Logger): void {
  const { definition } = loadService('spire.api.agent.logger.v1.Logger');
  server.addService(definition, { ...createLoggerService(log, callContexts(log)) });
}
