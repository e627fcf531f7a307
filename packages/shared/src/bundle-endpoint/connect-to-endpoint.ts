/** Connects to a bundle endpoint and has it authenticate itself as its profile says, before a byte is asked of it. */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { BundleEndpoint } from '../bundle/federation-relationship.js';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { verifyX509Svid } from '../crypto/verify-x509-svid.js';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import { trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';

/** By what an endpoint is authenticated. */
export type EndpointTrust =
  | {
      readonly kind: 'https_web';
      /** PEM; undefined: those that Node.js trusts, and NODE_EXTRA_CA_CERTS. */
      readonly authorities: readonly string[] | undefined;
    }
  | {
      readonly kind: 'https_spiffe';
      readonly endpointId: SpiffeId;
      /** Of the trust domain of `endpointId`. */
      readonly bundle: TrustBundle;
      readonly now: Date;
    };

/** The kind of trust that goes by SPIFFE ID. */
export type SpiffeTrust = EndpointTrust & { readonly kind: 'https_spiffe' };

export interface EndpointConnection {
  readonly socket: TLSSocket;
  /** DER, leaf first, as the endpoint sent it; it has been verified. */
  readonly chain: readonly Buffer[];
}

const HTTPS_PORT = 443;
const LONGEST_CHAIN = 10;

/** @throws BonafideError `unavailable` or `unauthenticated`; whatever the abort causes when the signal fires. */
export async function connectToEndpoint(
  endpoint: BundleEndpoint,
  trust: EndpointTrust,
  signal: AbortSignal,
): Promise<EndpointConnection> {
  signal.throwIfAborted();
  const { hostname, port } = new URL(endpoint.url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connect({
    host,
    port: port === '' ? HTTPS_PORT : Number(port),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    ...trustOptions(trust),
  });
  const abort = (): void => {
    socket.destroy(new Error('aborted'));
  };
  signal.addEventListener('abort', abort, { once: true });
  socket.once('close', () => {
    signal.removeEventListener('abort', abort);
  });
  try {
    await secured(socket);
    const chain = presentedChain(socket.getPeerX509Certificate());
    if (trust.kind === 'https_spiffe') checkSvid(chain, trust);
    return { socket, chain };
  } catch (error) {
    socket.destroy();
    throw error instanceof BonafideError ? error : connectionFailure(error, trust);
  }
}

function trustOptions(trust: EndpointTrust): ConnectionOptions {
  if (trust.kind === 'https_spiffe') {
    // The handshake proves possession of the key; the rest is for X509-SVID section 5 to say, which OpenSSL does not know.
    return { rejectUnauthorized: false, ca: [] };
  }
  return {
    rejectUnauthorized: true,
    ...(trust.authorities === undefined ? {} : { ca: [...trust.authorities] }),
  };
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.on('error', reject); // stays: an error after the handshake is met here instead of nowhere
    socket.once('close', () => {
      reject(new Error('the connection was closed during the handshake'));
    });
  });
}

/**
 * Once what a self-serving endpoint served takes the place of the bundle by which it was authenticated, nobody could authenticate it again
 * if it does not vouch for it.
 * @throws BonafideError `failed_precondition`.
 */
export function checkSelfServed(chain: readonly Buffer[], trust: SpiffeTrust, served: TrustBundle): void {
  try {
    checkSvid(chain, { ...trust, bundle: served });
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `the bundle is refused: its authorities do not vouch for the endpoint that served it (${errorMessage(error)})`,
      { cause: error },
    );
  }
}

/** @throws BonafideError `unauthenticated`. */
function checkSvid(chain: readonly Buffer[], trust: SpiffeTrust): void {
  const { bundle, endpointId, now } = trust;
  try {
    const { spiffeId } = verifyX509Svid({
      chain,
      authorities: bundle.x509Authorities.map(({ certificate }) => certificate),
      now,
      trustDomain: trustDomainOf(endpointId),
    });
    if (spiffeId !== endpointId) {
      throw new BonafideError('unauthenticated', `it is ${spiffeId}; expected ${endpointId}`);
    }
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError(
      'unauthenticated',
      `the bundle endpoint did not authenticate itself: ${error.message}`,
      { cause: error },
    );
  }
}

function presentedChain(leaf: X509Certificate | undefined): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (let next = leaf; next !== undefined && chain.length < LONGEST_CHAIN; next = next.issuerCertificate) {
    chain.push(next.raw);
  }
  return chain;
}

/** What Node.js calls a certificate that web PKI does not vouch for. */
const UNTRUSTED =
  /CERT|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|ALTNAME|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH/;

function connectionFailure(error: unknown, trust: EndpointTrust): BonafideError {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (trust.kind === 'https_web' && UNTRUSTED.test(code)) {
    return new BonafideError(
      'unauthenticated',
      `the bundle endpoint did not authenticate itself by web PKI: ${errorMessage(error)}; if it has a SPIFFE ID, the profile is https_spiffe`,
      { cause: error },
    );
  }
  return new BonafideError('unavailable', `cannot connect to the bundle endpoint: ${errorMessage(error)}`, {
    cause: error,
  });
}
