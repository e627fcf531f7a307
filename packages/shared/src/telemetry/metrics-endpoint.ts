/** `/metrics` for Prometheus: over HTTP, on the local host unless the configuration says otherwise; or over TLS, for clients that are known. */
import { once } from 'node:events';
import { createServer, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { constants, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { CertificatePair } from '../crypto/certificate-pair.js';
import { TLS_POLICY } from '../crypto/tls-policy.js';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { RefusalLog } from '../runtime/refusal-log.js';
import type { MetricRegistry } from './metric-registry.js';

export interface MetricsCredentials extends CertificatePair {
  /** PEM of the authorities that clients are held against, see `isUnderAuthority`. */
  readonly ca: string | undefined;
}

export interface MetricsClient {
  /** DER, leaf first; empty without a certificate. The client has proven that it holds the leaf's key, nothing else. */
  readonly chain: readonly Buffer[];
  readonly isUnderAuthority: boolean;
}

export interface MetricsTls {
  /** What the next connection is shown; the same object for as long as nothing has changed. Undefined: nothing, it fails. */
  readonly credentials: () => MetricsCredentials | undefined;
  /** @throws BonafideError to cut the connection before it is answered. */
  readonly verifyClient: (client: MetricsClient) => void;
}

export interface MetricsEndpointOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Undefined: plain HTTP. */
  readonly tls?: MetricsTls | undefined;
  readonly metrics: Pick<MetricRegistry, 'text' | 'contentType'>;
  readonly clock: Clock;
  readonly log: Logger;
}

const TIME_LIMIT_MS = 10_000;
const MOST_CONNECTIONS = 64;
const LONGEST_CLIENT_CHAIN = 8;
const LIMITS: ServerOptions = { requestTimeout: TIME_LIMIT_MS, headersTimeout: TIME_LIMIT_MS };

export class MetricsEndpoint {
  readonly #server: Server;

  /** Resolves when it listens. @throws BonafideError `failed_precondition` when it cannot. */
  static async listen(options: MetricsEndpointOptions): Promise<MetricsEndpoint> {
    const server =
      options.tls === undefined ? createServer(LIMITS) : createSecureServer(options, options.tls);
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

function createSecureServer(
  { clock, log }: MetricsEndpointOptions,
  { credentials, verifyClient }: MetricsTls,
): Server {
  const refusals = new RefusalLog<'client'>({ clock, log });
  const server = createTlsServer({
    ...LIMITS,
    ...TLS_POLICY,
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: TIME_LIMIT_MS,
    requestCert: true,
    // The handshake proves possession of the key; who may ask is judged below.
    rejectUnauthorized: false,
    ca: [],
  });
  let shown: MetricsCredentials | undefined;
  server.prependListener('connection', () => {
    const next = credentials();
    if (next === undefined || next === shown) return;
    server.setSecureContext({
      cert: next.cert,
      key: next.key,
      ca: next.ca ?? [],
      ...TLS_POLICY,
      // A resumed session would carry over a client whom nobody vouches for any more.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    shown = next;
  });
  server.prependListener('secureConnection', (socket) => {
    try {
      verifyClient({ chain: presentedChain(socket), isUnderAuthority: socket.authorized });
    } catch (error) {
      const fields = { address: socket.remoteAddress };
      refusals.warn('client', fields, `refused a client of the metrics: ${errorMessage(error)}`);
      socket.destroy();
    }
  });
  server.on('tlsClientError', (error, socket) => {
    log.debug({ err: error }, 'a TLS handshake for the metrics failed');
    socket.destroy();
  });
  return server;
}

function presentedChain(socket: TLSSocket): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < LONGEST_CLIENT_CHAIN) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
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
