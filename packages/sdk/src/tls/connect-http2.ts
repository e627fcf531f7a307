/** HTTP/2 to a server by its SPIFFE ID. */
import { connect, type ClientHttp2Session, type SecureClientSessionOptions } from 'node:http2';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { X509Identity, X509Trust } from '../x509-source.js';
import type { Authorizer } from './authorizer.js';
import { tlsClientOptions, type TlsClientOptions } from './tls-client-options.js';

/** What the source decides cannot be given as an option. */
export type Http2ConnectOptions = Omit<
  SecureClientSessionOptions,
  | keyof TlsClientOptions
  | 'ca'
  | 'cert'
  | 'crl'
  | 'key'
  | 'pfx'
  | 'passphrase'
  | 'secureOptions'
  | 'createConnection'
  | 'protocol'
> & {
  /** Ends the waiting for the connection; it has no effect on one that is there. */
  readonly signal?: AbortSignal | undefined;
};

/**
 * A session lives through updates of the source, so close it now and then: the next one presents the newest SVID.
 * @param authority such as `https://billing.internal:8443`; its host name is where to connect, and proves nothing.
 * @returns once the server has been verified and authorized.
 * @throws BonafideError `unavailable` with why there is no connection as its cause, a BonafideError when the server was refused;
 * `invalid_argument` for another protocol than https; `cancelled` when the signal fired.
 * @example
 * const session = await connectHttp2('https://billing.internal:8443', source, authorizeId('spiffe://example.org/billing'));
 * const stream = session.request({ ':path': '/invoices' });
 */
export function connectHttp2(
  authority: string | URL,
  source: X509Identity | X509Trust,
  authorizer: Authorizer,
  { signal, ...options }: Http2ConnectOptions = {},
): Promise<ClientHttp2Session> {
  const url = new URL(authority);
  if (url.protocol !== 'https:')
    throw invalidArgument(`cannot connect to ${url.href}; expected https://host:port`);
  return new Promise((resolve, reject) => {
    const session = connect(url, { ...options, ...tlsClientOptions(source, authorizer) });
    const finish = (settle: () => void): void => {
      session.off('connect', onConnect).off('error', onError);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const fail = (error: BonafideError): void => {
      finish(() => {
        session.on('error', () => undefined); // has been told
        session.destroy();
        reject(error);
      });
    };
    const onConnect = (): void => {
      finish(() => {
        resolve(session);
      });
    };
    const onError = (cause: Error): void => {
      fail(new BonafideError('unavailable', `cannot connect to ${url.origin}: ${cause.message}`, { cause }));
    };
    const onAbort = (): void => {
      fail(new BonafideError('cancelled', `cancelled while connecting to ${url.origin}`));
    };
    session.once('connect', onConnect).once('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
}
