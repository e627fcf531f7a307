/** An HTTPS server that follows its serving certificate and answers ACME's validations (RFC 8737) on the same port. */
import type { RequestListener } from 'node:http';
import { createServer as createHttpsServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer } from 'node:tls';
import { TLS_POLICY } from '../crypto/tls-policy.js';
import { invalidArgument } from '../errors/bonafide-error.js';
import type { ServingCertificate } from './serving-certificate.js';
import { isAcmeValidation } from './tls-client-hello.js';

const HANDSHAKE_LIMIT_MS = 10_000;
const LARGEST_HEADERS_BYTES = 16 * 1024;

export interface ServingHttpsOptions {
  readonly certificate: ServingCertificate;
  readonly onRequest: RequestListener;
  /** How long a request's headers, and the whole of it, may take. */
  readonly requestLimitMs: number;
  /** Ten seconds unless told. */
  readonly handshakeLimitMs?: number;
}

/** Not listening yet. While there is no certificate, handshakes fail, but those of an ACME authority. */
export function createServingHttpsServer(options: ServingHttpsOptions): Server {
  const { certificate, onRequest, requestLimitMs, handshakeLimitMs = HANDSHAKE_LIMIT_MS } = options;
  const server = createHttpsServer(
    {
      ...certificate.current(),
      ...TLS_POLICY,
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: handshakeLimitMs,
      maxHeaderSize: LARGEST_HEADERS_BYTES,
      headersTimeout: requestLimitMs,
      requestTimeout: requestLimitMs,
    },
    onRequest,
  );
  const unsubscribe = certificate.onChange((pair) => {
    server.setSecureContext({ ...pair, ...TLS_POLICY });
  });
  server.on('close', unsubscribe);
  if (certificate.challenge !== undefined) answerValidations(server, certificate, handshakeLimitMs);
  return server;
}

/** Looks at the first record of each connection, and leads those of an ACME authority to a TLS server of their own. */
function answerValidations(server: Server, certificate: ServingCertificate, handshakeLimitMs: number): void {
  const serve = server.listeners('connection') as ((socket: Socket) => void)[];
  const validations = createTlsServer(
    {
      ALPNProtocols: ['acme-tls/1'],
      ...TLS_POLICY,
      handshakeTimeout: handshakeLimitMs,
      SNICallback: (serverName, callback) => {
        const pair = certificate.challenge?.(serverName);
        if (pair === undefined) callback(invalidArgument('no validation of this name is awaited'));
        else callback(null, createSecureContext({ ...pair, ...TLS_POLICY }));
      },
    },
    // RFC 8737 section 3: the handshake is all there is to it; nobody is waited for to hang up.
    (socket) => {
      socket.destroySoon();
    },
  );
  validations.on('tlsClientError', (_error, socket) => {
    socket.destroy();
  });
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    firstRecord(socket, handshakeLimitMs, (isValidation) => {
      if (isValidation) validations.emit('connection', socket);
      else for (const listener of serve) listener.call(server, socket);
    });
  });
}

/** Reads until it can be told what the connection is for, and puts back what was read. */
function firstRecord(socket: Socket, limitMs: number, done: (isValidation: boolean) => void): void {
  let start: Buffer = Buffer.alloc(0);
  const drop = (): void => {
    socket.destroy();
  };
  // Of all of it: who sends a byte now and then must not hold a connection for hours.
  const limit = AbortSignal.timeout(limitMs);
  socket.once('close', () => {
    limit.removeEventListener('abort', drop);
  });
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    start = Buffer.concat([start, chunk]);
    const isValidation = isAcmeValidation(start);
    if (isValidation === undefined) return;
    socket.off('readable', look).off('error', drop).off('end', drop);
    limit.removeEventListener('abort', drop);
    socket.unshift(start);
    done(isValidation);
  };
  socket.on('readable', look).on('error', drop).on('end', drop);
  limit.addEventListener('abort', drop);
}
