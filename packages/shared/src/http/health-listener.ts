/** Health over HTTP, as SPIRE answers it: 200 when all is well, 500 when not, and why as JSON. */
import { createServer, type Server } from 'node:http';
import { BonafideError } from '../errors/bonafide-error.js';
import type { Logger } from '../runtime/logger.js';
import type { HealthConfig } from './health-config.js';

const TIMEOUT_MS = 10_000;
const MOST_CONNECTIONS = 100;

export interface HealthAnswer {
  readonly isWell: boolean;
  /** JSON. */
  readonly body: Readonly<Record<string, unknown>>;
}

interface HealthListenerOptions {
  readonly config: HealthConfig;
  /** Whoever answers is alive: a restart would not help a program that waits for something else. */
  readonly ready: () => HealthAnswer;
  readonly live: () => HealthAnswer;
  readonly log: Logger;
}

export class HealthListener {
  readonly #config: HealthConfig;
  readonly #log: Logger;
  readonly #server: Server;

  constructor({ config, ready, live, log }: HealthListenerOptions) {
    this.#config = config;
    this.#log = log;
    this.#server = createServer(
      { headersTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS, keepAliveTimeout: TIMEOUT_MS },
      ({ method, url = '' }, response) => {
        const [path] = url.split('?');
        const isReady = path === config.ready_path;
        if ((!isReady && path !== config.live_path) || (method !== 'GET' && method !== 'HEAD')) {
          response.writeHead(404).end();
          return;
        }
        const { isWell, body } = isReady ? ready() : live();
        response.writeHead(isWell ? 200 : 500, { 'content-type': 'application/json' });
        response.end(`${JSON.stringify(body)}\n`);
      },
    );
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** @returns the port. @throws BonafideError `unavailable` when it cannot be bound. */
  listen(): Promise<number> {
    const { bind_address: host, bind_port: port } = this.#config;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        const message = `cannot serve health checks on ${host}:${port}: ${error.message}; choose another health_checks.bind_port`;
        reject(new BonafideError('unavailable', message, { cause: error }));
      };
      this.#server.once('error', fail);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', fail).on('error', (error) => {
          this.#log.debug({ err: error }, 'a health check could not be accepted');
        });
        const bound = this.#server.address();
        const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
        this.#log.info({ address: `${host}:${actual}` }, 'serving health checks');
        resolve(actual);
      });
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
