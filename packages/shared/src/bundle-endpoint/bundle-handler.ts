/** Answers requests for one trust bundle (SPIFFE Federation section 5.2.1.3), whoever asks: for a server of node:http or node:https. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatBundleDocument } from '../bundle/bundle-document.js';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { entityTag, isUnchanged } from '../http/conditional-request.js';

interface BundleHandlerOptions {
  /** As it is now; another object once it has changed. */
  readonly bundle: () => TrustBundle | undefined;
  /** Where alone it is answered; undefined: wherever the handler is asked. */
  readonly path?: string | undefined;
}

/** No authentication of clients of any kind, as section 5.2.1.3 demands. */
export function createBundleHandler({
  bundle,
  path,
}: BundleHandlerOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const documentOf = rememberDocument();
  return (request, response) => {
    response.setHeader('x-content-type-options', 'nosniff');
    const [asked] = (request.url ?? '').split('?', 1);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      refuse(response, 405, 'only GET and HEAD are answered');
      return;
    }
    if (hasBody(request)) {
      refuse(response, 413, 'a request for the bundle has no body');
      return;
    }
    if (path !== undefined && asked !== path) {
      refuse(response, 404, `the bundle is at ${path}`);
      return;
    }
    const now = bundle();
    if (now === undefined) refuse(response, 503, 'there is no bundle yet');
    else serve(request, response, documentOf(now));
  };
}

interface Document {
  readonly body: Buffer;
  readonly etag: string;
}

/** Made once for each state of the bundle. */
function rememberDocument(): (bundle: TrustBundle) => Document {
  let made: (Document & { readonly of: TrustBundle }) | undefined;
  return (bundle) => {
    if (made?.of !== bundle) {
      const body = Buffer.from(formatBundleDocument(bundle));
      made = { of: bundle, body, etag: entityTag(body) };
    }
    return made;
  };
}

function serve(request: IncomingMessage, response: ServerResponse, { body, etag }: Document): void {
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
