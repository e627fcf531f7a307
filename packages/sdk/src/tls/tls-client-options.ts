/** Options by which a TLS client presents its SVID and accepts only the servers that it means. */
import { checkServerIdentity, type PeerCertificate, type SecureContext } from 'node:tls';
import type { X509Identity, X509Trust } from '../x509-source.js';
import type { Authorizer } from './authorizer.js';
import { rememberServer } from './peer-spiffe-id.js';
import { createLiveSecureContext } from './secure-context.js';
import { presentedLegacyChain, verifyPeer } from './verify-peer.js';

/** To be spread into the options of whatever makes a TLS connection. */
export interface TlsClientOptions {
  /** Always the newest SVID and bundles of the source, read for each connection. */
  readonly secureContext: SecureContext;
  /** Whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
  readonly rejectUnauthorized: true;
  /** SPIFFE IDs in place of host names, unless the authorizer says that the server has none. */
  readonly checkServerIdentity: (hostname: string, certificate: PeerCertificate) => Error | undefined;
  /** `https.request` with these options makes a connection of its own: a shared agent would lend it one made with other options. */
  readonly agent: false;
  /** A resumed session would skip `checkServerIdentity`. */
  readonly session: undefined;
  readonly maxCachedSessions: 0;
}

/**
 * A client of an `X509Source` presents its SVID; one of a `BundleSource`, or of `withoutSvid(source)`, presents nothing.
 * For `tls.connect`, `http2.connect` and, one connection a request, `https.request`; `createHttpsAgent` keeps connections. May be
 * kept and used for any number of connections: each takes the SVID and bundles of its moment. Options after these must not
 * replace any of them.
 * @example
 * const socket = tls.connect({ host: 'db.internal', port: 8443, ...tlsClientOptions(source, authorizeId('spiffe://example.org/db')) });
 * @example
 * const session = http2.connect('https://db.internal:8443', tlsClientOptions(source, authorizeMemberOf('example.org')));
 */
export function tlsClientOptions(source: X509Identity | X509Trust, authorizer: Authorizer): TlsClientOptions {
  const { webPki } = authorizer;
  return {
    secureContext: createLiveSecureContext(source, webPki),
    rejectUnauthorized: true,
    checkServerIdentity: (hostname, certificate) => {
      if (webPki !== undefined) return checkServerIdentity(hostname, certificate);
      try {
        const chain = presentedLegacyChain(certificate);
        rememberServer(certificate, verifyPeer({ chain, bundles: source.bundles, authorizer }));
        return undefined;
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error));
      }
    },
    agent: false,
    session: undefined,
    maxCachedSessions: 0,
  };
}
