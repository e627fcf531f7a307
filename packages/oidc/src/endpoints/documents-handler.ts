/** Answers requests for the two documents, so that caches keep them no longer than keys may be trusted unseen (RFC 9110, RFC 9111). */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { entityTag, isUnchanged } from '@bonafide/shared/http/conditional-request';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { formatDiscoveryDocument, type DiscoverySettings } from '../documents/discovery-document.js';
import { allowedHost } from '../documents/domain.js';
import type { PublishedKeys } from '../documents/published-keys.js';

export interface DocumentsHandlerOptions {
  readonly keys: PublishedKeys;
  readonly discovery: DiscoverySettings;
  readonly domains: ReadonlySet<string>;
  /** Says http in the document where the request did not come over TLS. */
  readonly allowInsecureScheme: boolean;
  readonly logRequests: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Without a refresh hint, and at most: a revoked key is gone from caches after that long. */
const SHORTEST_CACHE_SECONDS = 60;
const LONGEST_CACHE_SECONDS = 300;
const RETRY_SECONDS = 5;

const ALWAYS = {
  // Documents for everybody: pages of any origin may verify tokens too.
  'access-control-allow-origin': '*',
  'cross-origin-resource-policy': 'cross-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

interface CachedDocument {
  readonly text: string;
  readonly changedAt: Date;
  readonly cacheControl: string;
  readonly vary?: string;
}

export function createDocumentsHandler(options: DocumentsHandlerOptions): RequestListener {
  const { discovery, logRequests, clock, log } = options;
  const prefix = discovery.pathPrefix === '/' ? '' : discovery.pathPrefix;
  const startedAt = clock.now();
  return (request, response) => {
    const { method = '', url = '', socket, headers } = request;
    if (logRequests) {
      const userAgent = headers['user-agent'];
      log.debug({ remoteAddress: socket.remoteAddress, method, url, userAgent }, 'Incoming request');
    }
    for (const [name, value] of Object.entries(ALWAYS)) response.setHeader(name, value);
    switch (url.split('?', 1)[0] ?? '') {
      case `${prefix}/.well-known/openid-configuration`:
        if (isReading(request, response)) serveDiscovery(options, startedAt, request, response);
        return;
      case `${prefix}/keys`:
        if (isReading(request, response)) serveKeys(options, request, response);
        return;
      default:
        refuse(response, 404, 'not found');
    }
  };
}

function serveDiscovery(
  { discovery, domains, allowInsecureScheme }: DocumentsHandlerOptions,
  startedAt: Date,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const host = allowedHost(requestedHost(request), domains);
  if (host === undefined) {
    refuse(response, 400, 'this host is not one of the domains that are served');
    return;
  }
  const scheme = allowInsecureScheme && !isSecure(request) ? 'http' : 'https';
  serve(request, response, {
    text: formatDiscoveryDocument(discovery, `${scheme}://${host}`),
    changedAt: startedAt,
    cacheControl: `public, max-age=${LONGEST_CACHE_SECONDS}`,
    vary: 'X-Forwarded-Host, X-Forwarded-Proto',
  });
}

function serveKeys(
  { keys }: DocumentsHandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const current = keys.current();
  if (current === undefined) {
    response.setHeader('retry-after', String(RETRY_SECONDS));
    refuse(response, 503, 'the keys are not known yet');
  } else if (current.count === 0) {
    refuse(response, 501, 'the trust domain has no keys that sign JWT-SVIDs');
  } else {
    const hint = Math.floor(current.refreshHintSeconds ?? SHORTEST_CACHE_SECONDS);
    const maxAge = Math.min(hint, LONGEST_CACHE_SECONDS);
    // Nobody knows how old keys are whose source is away: caches must ask, and are told as soon as it is back.
    const cacheControl = keys.failingMs() > 0 ? 'no-cache' : `public, max-age=${maxAge}, must-revalidate`;
    serve(request, response, { text: current.text, changedAt: current.changedAt, cacheControl });
  }
}

function serve(request: IncomingMessage, response: ServerResponse, document: CachedDocument): void {
  const { text, changedAt, cacheControl, vary } = document;
  const tag = entityTag(text);
  response.setHeader('cache-control', cacheControl);
  response.setHeader('etag', tag);
  response.setHeader('last-modified', changedAt.toUTCString());
  if (vary !== undefined) response.setHeader('vary', vary);
  if (isUnchanged(request.headers, { tag, changedAt })) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(text)),
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

function isReading({ method }: IncomingMessage, response: ServerResponse): boolean {
  if (method === 'GET' || method === 'HEAD') return true;
  response.setHeader('allow', 'GET, HEAD');
  refuse(response, 405, 'method not allowed');
  return false;
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.setHeader('cache-control', 'no-store');
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

/** A proxy tells to whom the request was addressed; whatever it says must be one of the domains. */
function requestedHost({ headers }: IncomingMessage): string | undefined {
  const forwarded = headers['x-forwarded-host'];
  return typeof forwarded === 'string' ? forwarded : headers.host;
}

function isSecure({ socket, headers }: IncomingMessage): boolean {
  return 'encrypted' in socket || headers['x-forwarded-proto'] === 'https';
}
