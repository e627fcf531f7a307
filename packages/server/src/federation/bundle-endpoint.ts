/** Our bundle endpoint (SPIFFE Federation section 5): an HTTPS server that answers a GET with our bundle, to whoever asks. */
import type { Server } from 'node:https';
import { createBundleHandler } from '@bonafide/shared/bundle-endpoint/bundle-handler';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { OpenConnections } from '@bonafide/shared/http/open-connections';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { ServingCertificate } from '@bonafide/shared/serving-certificate/serving-certificate';
import { createServingHttpsServer } from '@bonafide/shared/serving-certificate/serving-https-server';

export interface BundleEndpointOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  readonly refreshHintSeconds: number;
  readonly certificate: ServingCertificate;
  /** Ours, as it is now. */
  readonly bundle: () => TrustBundle | undefined;
  readonly maximumConnections?: number;
  readonly log: Logger;
}

const REQUEST_LIMIT_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;
const MAXIMUM_CONNECTIONS = 1000;
const REQUESTS_PER_CONNECTION = 100;
const MAXIMUM_HEADERS = 64;
const PATH = '/';

export class BundleEndpoint {
  readonly #options: BundleEndpointOptions;
  readonly #server: Server;
  readonly #connections: OpenConnections;

  constructor(options: BundleEndpointOptions) {
    this.#options = options;
    this.#server = createServingHttpsServer({
      certificate: options.certificate,
      requestLimitMs: REQUEST_LIMIT_MS,
      onRequest: createBundleHandler({ bundle: withRefreshHint(options), path: PATH }),
    });
    this.#server.maxConnections = options.maximumConnections ?? MAXIMUM_CONNECTIONS;
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
    this.#server.maxHeadersCount = MAXIMUM_HEADERS;
    this.#connections = new OpenConnections(this.#server);
    this.#server.on('tlsClientError', (error, socket) => {
      options.log.debug({ err: error, address: socket.remoteAddress }, 'a TLS handshake failed');
    });
  }

  /** @returns the port. @throws BonafideError `unavailable` when it cannot be bound. */
  listen(): Promise<number> {
    const { address, port } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        const message = `cannot listen on ${address}:${port}: ${error.message}; choose another address or port of federation.bundle_endpoint`;
        reject(new BonafideError('unavailable', message, { cause: error }));
      };
      this.#server.once('error', fail);
      this.#server.listen({ host: address, port }, () => {
        this.#server.removeListener('error', fail);
        const bound = this.#server.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
      });
    });
  }

  /** What was asked before may still be answered for a moment; nothing of it outlives this. */
  stop(): void {
    this.#server.close();
    this.#connections.destroyAll();
  }
}

/** With our refresh hint; the same object for the same bundle. */
function withRefreshHint({
  bundle,
  refreshHintSeconds,
}: Pick<BundleEndpointOptions, 'bundle' | 'refreshHintSeconds'>): () => TrustBundle | undefined {
  let made: { readonly of: TrustBundle; readonly hinted: TrustBundle } | undefined;
  return () => {
    const of = bundle();
    if (of === undefined) return undefined;
    if (made?.of !== of) made = { of, hinted: { ...of, refreshHintSeconds } };
    return made.hinted;
  };
}
