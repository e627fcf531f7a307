/** `/metrics` over HTTP, for Prometheus: on the local host unless the configuration says otherwise, for it has neither TLS nor callers. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Metrics } from './metrics.js';

interface MetricsEndpointOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
  readonly log: Logger;
}

const TIME_LIMIT_MS = 10_000;
const MOST_CONNECTIONS = 64;

export class MetricsEndpoint {
  readonly #server: Server;

  /** Resolves when it listens. @throws BonafideError `failed_precondition` when it cannot. */
  static async listen(options: MetricsEndpointOptions): Promise<MetricsEndpoint> {
    const server = createServer({ requestTimeout: TIME_LIMIT_MS, headersTimeout: TIME_LIMIT_MS });
    server.maxConnections = MOST_CONNECTIONS;
    server.on('request', ({ method, url }, response) => {
      void answer(method ?? '', url ?? '', response, options);
    });
    try {
      server.listen(options.port, options.host);
      await once(server, 'listening');
    } catch (error) {
      throw new BonafideError(
        'failed_precondition',
        `telemetry.Prometheus cannot listen on ${options.host}:${options.port}: ${errorMessage(error)}`,
        { cause: error },
      );
    }
    return new MetricsEndpoint(server);
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(
  method: string,
  url: string,
  response: ServerResponse,
  { metrics, log }: MetricsEndpointOptions,
): Promise<void> {
  const [path] = url.split('?', 1);
  if (path !== '/metrics') {
    end(response, 404, 'metrics are at /metrics\n');
    return;
  }
  if (method !== 'GET' && method !== 'HEAD') {
    end(response, 405, 'expected GET\n');
    return;
  }
  try {
    const text = await metrics.text();
    response.setHeader('content-type', metrics.contentType);
    end(response, 200, method === 'HEAD' ? '' : text);
  } catch (error) {
    log.error({ err: error }, 'cannot collect the metrics');
    end(response, 500, 'the metrics cannot be collected\n');
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.end(text);
}
