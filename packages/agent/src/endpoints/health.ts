/** The standard gRPC health service: whether workloads get what they are entitled to. */
import { Metadata, type Server } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { CHECKS_HEADER } from '@bonafide/shared/rpc/health-header';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { peerOf } from './peer-interceptor.js';

/** The empty name asks for the process as a whole. */
const SERVICES: readonly string[] = ['', 'SpiffeWorkloadAPI'];

/** How long whoever watches may be behind. */
const REVIEW_MS = 1_000;

interface HealthServiceOptions {
  readonly isHealthy: () => boolean;
  /** Plain data: every check, told to the agent's owner alone. Undefined: there are none. */
  readonly checks?: (() => unknown) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Fires when the agent shuts down, which ends the streams of those who watch. */
  readonly stopping: AbortSignal;
}

export function addHealthService(
  server: Server,
  { checks, clock, isHealthy, log, stopping }: HealthServiceOptions,
): void {
  const status = (): 'SERVING' | 'NOT_SERVING' => (isHealthy() ? 'SERVING' : 'NOT_SERVING');
  const contextOf = callContexts(log);
  /** Ends each stream of those who watch: on a signal that outlives them all, every one would leave something behind. */
  const watching = new Set<() => void>();
  stopping.addEventListener('abort', () => {
    for (const end of watching) end();
  });
  const handlers: Handlers<'grpc.health.v1.Health'> = {
    Check: unaryHandler(contextOf, ({ service }, call) => {
      if (!SERVICES.includes(service)) {
        throw new BonafideError('not_found', `no service ${JSON.stringify(service)} is served here`);
      }
      if (checks !== undefined && service === '' && isOwner(peerOf(call).credentials.uid)) {
        const headers = new Metadata();
        headers.set(CHECKS_HEADER, Buffer.from(JSON.stringify(checks())));
        call.sendMetadata(headers);
      }
      return Promise.resolve({ status: status() });
    }),
    List: unaryHandler(contextOf, () =>
      Promise.resolve({
        statuses: Object.fromEntries(SERVICES.map((service) => [service, { status: status() }])),
      }),
    ),
    Watch: serverStreamHandler(contextOf, async ({ service }, call, { signal }) => {
      const over = new AbortController();
      const end = (): void => {
        over.abort();
      };
      watching.add(end);
      signal.addEventListener('abort', end, { once: true });
      let told: string | undefined;
      try {
        while (!signal.aborted && !stopping.aborted) {
          const now = SERVICES.includes(service) ? status() : 'SERVICE_UNKNOWN';
          if (now !== told) await writeMessage(call, { status: now }, signal);
          told = now;
          await sleep(clock, REVIEW_MS, over.signal).catch(() => undefined); // the loop ends
        }
      } finally {
        watching.delete(end);
      }
      if (stopping.aborted) throw new BonafideError('unavailable', 'the agent is shutting down');
    }),
  };
  server.addService(loadService('grpc.health.v1.Health').definition, handlers);
}

/** Workloads hear that something is wrong, operators what. */
function isOwner(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}
