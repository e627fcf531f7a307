/** What servers present, and whom they believe: for mutual TLS an X509Source, for the web a certificate of the web beside our trust. */
import type { X509Identity, X509Trust } from '../x509-source.js';
import type { WebCertificate } from './secure-context.js';

/** A server that clients outside SPIFFE can verify by its host name, and that verifies SVIDs of clients all the same. */
export interface WebIdentity extends X509Trust {
  /** Read when the server is made, and again at each event of the source. */
  readonly webCertificate: WebCertificate;
}

/** What a server can be made of. */
export type ServerIdentity = X509Identity | WebIdentity;

/**
 * The trust of a source with a certificate of the web.
 * @param certificate as it is, or a function that gives the newest one.
 * @example
 * const identity = withWebCertificate(bundleSource, { cert: readFileSync('tls.crt', 'utf8'), key: readFileSync('tls.key', 'utf8') });
 * createHttpsServer(identity, allowAnonymousOr(authorizeMemberOf('example.org')), handler).listen(443);
 */
export function withWebCertificate(
  source: X509Trust,
  certificate: WebCertificate | (() => WebCertificate),
): WebIdentity {
  return {
    ...trustOf(source),
    get webCertificate(): WebCertificate {
      return typeof certificate === 'function' ? certificate() : certificate;
    },
    get bundles() {
      return source.bundles;
    },
  };
}

/**
 * The trust of a source without its SVID: a TLS client made of it presents no certificate.
 * @example createHttpsAgent(withoutSvid(source), authorizeId('spiffe://example.org/public'));
 */
export function withoutSvid(source: X509Trust): X509Trust {
  return {
    ...trustOf(source),
    get bundles() {
      return source.bundles;
    },
  };
}

/**
 * The SVID of one source with the trust of another.
 * @example
 * const identity = withTrust(x509Source, bundleSet);
 * createHttpsServer(identity, authorizeMemberOf('other.example'), handler).listen(8443);
 */
export function withTrust(source: X509Identity, trust: X509Trust): X509Identity {
  const both: X509Identity = {
    get svid() {
      return source.svid;
    },
    get bundles() {
      return trust.bundles;
    },
    on: (event, listener) => {
      source.on(event, listener);
      trust.on(event, listener);
    },
    off: (event, listener) => {
      source.off(event, listener);
      trust.off(event, listener);
    },
  };
  return both;
}

function trustOf(source: X509Trust): Pick<X509Trust, 'on' | 'off'> {
  return {
    on: (event, listener) => source.on(event, listener),
    off: (event, listener) => source.off(event, listener),
  };
}
