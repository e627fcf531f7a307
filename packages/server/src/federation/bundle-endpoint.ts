/** Our bundle endpoint (SPIFFE Federation section 5): an HTTPS server that answers a GET with our bundle, to whoever asks. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { entityTag, isUnchanged } from '@bonafide/shared/http/conditional-request';
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
  #document: { readonly of: TrustBundle; readonly body: Buffer; readonly etag: string } | undefined;

  constructor(options: BundleEndpointOptions) {
    this.#options = options;
    this.#server = createServingHttpsServer({
      certificate: options.certificate,
      requestLimitMs: REQUEST_LIMIT_MS,
      onRequest: (request, response) => {
        this.#answer(request, response);
      },
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

  /** No authentication of clients of any kind, as section 5.2.1.3 demands. */
  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('x-content-type-options', 'nosniff');
    const [path] = (request.url ?? '').split('?', 1);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      refuse(response, 405, 'only GET and HEAD are answered');
    } else if (hasBody(request)) {
      refuse(response, 413, 'a request for the bundle has no body');
    } else if (path !== PATH) {
      refuse(response, 404, `the bundle is at ${PATH}`);
    } else this.#serve(request, response);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const bundle = this.#options.bundle();
    if (bundle === undefined) {
      refuse(response, 503, 'there is no bundle yet');
      return;
    }
    const { body, etag } = this.#documentOf(bundle);
    response.setHeader('etag', etag);
    // Section 5.2.1.3: the most up-to-date version, always.
    response.setHeader('cache-control', 'no-cache');
    if (isUnchanged(request.headers, { tag: etag })) {
      response.writeHead(304).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  /** Made once for each state of the bundle. */
  #documentOf(bundle: TrustBundle): { readonly body: Buffer; readonly etag: string } {
    if (this.#document?.of !== bundle) {
      const { refreshHintSeconds } = this.#options;
      const body = Buffer.from(formatBundleDocument({ ...bundle, refreshHintSeconds }));
      this.#document = { of: bundle, body, etag: entityTag(body) };
    }
    return this.#document;
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

/** And hangs up, so that whatever else is sent is not read. */
function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`${text}\n`, () => {
    response.req.socket.destroySoon();
  });
}
