/** Tells over HTTP how the helpers are: for probes, with spiffe-helper's paths. */
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';

interface HelperHealth {
  readonly directory: string;
  readonly isFailing: boolean;
  readonly isReady: boolean;
}

interface HealthListenerOptions {
  /** Undefined: every address of this machine. */
  readonly address: string | undefined;
  readonly port: number;
  readonly livenessPath: string;
  readonly readinessPath: string;
  readonly helpers: readonly HelperHealth[];
}

const SLOWEST_REQUEST_MS = 5_000;
const MOST_CONNECTIONS = 100;

/** @throws BonafideError `unavailable` when the port cannot be had. */
export async function listenForProbes(options: HealthListenerOptions): Promise<Server> {
  const { address, helpers, livenessPath, port, readinessPath } = options;
  const server = createServer({ requestTimeout: SLOWEST_REQUEST_MS }, (request, response) => {
    const path = request.url?.split('?')[0];
    const isGood =
      path === livenessPath
        ? helpers.every(({ isFailing }) => !isFailing)
        : path === readinessPath
          ? helpers.every(({ isReady }) => isReady)
          : undefined;
    if (isGood === undefined || request.method !== 'GET') {
      response.writeHead(isGood === undefined ? 404 : 405).end();
      return;
    }
    const body = helpers.map(({ directory, isFailing, isReady }) => ({
      cert_dir: directory,
      state: isReady ? 'ready' : isFailing ? 'failing' : 'waiting',
    }));
    response
      .writeHead(isGood ? 200 : 503, { 'content-type': 'application/json', connection: 'close' })
      .end(JSON.stringify({ helpers: body }));
  });
  server.maxConnections = MOST_CONNECTIONS;
  try {
    server.listen({ port, ...(address === undefined ? {} : { host: address }) });
    await once(server, 'listening');
  } catch (error) {
    throw new BonafideError(
      'unavailable',
      `cannot listen for health checks on port ${port}: ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
  // One that cannot be accepted, for lack of descriptors for example, is asked again; it is no reason to end the helpers.
  server.on('error', () => undefined);
  return server;
}
