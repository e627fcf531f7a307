/** The standard gRPC health service: whoever gets an answer knows that the agent lives and serves. */
import type { Server } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import type { Logger } from '@bonafide/shared/runtime/logger';

/** The empty name asks for the process as a whole. */
const SERVICES: readonly string[] = ['', 'SpiffeWorkloadAPI'];

/** @param stopping fires when the agent shuts down, which ends the streams of those who watch. */
export function addHealthService(
  server: Server,
  { log, stopping }: { log: Logger; stopping: AbortSignal },
): void {
  const contextOf = callContexts(log);
  const handlers: Handlers<'grpc.health.v1.Health'> = {
    Check: unaryHandler(contextOf, ({ service }) =>
      SERVICES.includes(service)
        ? Promise.resolve({ status: 'SERVING' as const })
        : Promise.reject(
            new BonafideError('not_found', `no service ${JSON.stringify(service)} is served here`),
          ),
    ),
    List: unaryHandler(contextOf, () =>
      Promise.resolve({
        statuses: Object.fromEntries(SERVICES.map((service) => [service, { status: 'SERVING' as const }])),
      }),
    ),
    Watch: serverStreamHandler(contextOf, async ({ service }, call, { signal }) => {
      const serving = SERVICES.includes(service) ? 'SERVING' : 'SERVICE_UNKNOWN';
      await writeMessage(call, { status: serving }, signal);
      await aborted(signal, stopping);
      if (stopping.aborted) throw new BonafideError('unavailable', 'the agent is shutting down');
    }),
  };
  server.addService(loadService('grpc.health.v1.Health').definition, handlers);
}

function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      for (const signal of signals) signal.removeEventListener('abort', finish);
      resolve();
    };
    for (const signal of signals) signal.addEventListener('abort', finish);
    if (signals.some(({ aborted }) => aborted)) finish();
  });
}
