/** The SPIFFE ID of a verified peer, for the code that serves it. */
import type { Socket } from 'node:net';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

/** Only this module can set it, so only a socket that went through our verification has it. HTTP/2's socket proxy lets it through. */
const VERIFIED = Symbol('the SPIFFE ID of the verified peer');

interface Verified {
  readonly [VERIFIED]?: SpiffeId;
}

/** The client's side is told of certificates, not of sockets: the servers verified last, by the fingerprint of their leaf. */
const verifiedServers = new Map<string, SpiffeId>();
const MOST_REMEMBERED_SERVERS = 10_000;

/**
 * Undefined unless the peer's SVID was verified by a server or client of this library.
 * @param socket a TLSSocket, `request.socket` of https, `session.socket` of http2.
 * @example
 * createHttpsServer(source, authorizeAny(), (request, response) => {
 *   response.end(`hello ${peerSpiffeId(request.socket)}`);
 * });
 */
export function peerSpiffeId(socket: Socket): SpiffeId | undefined {
  const verified = (socket as Verified)[VERIFIED];
  if (verified !== undefined || !(socket instanceof TLSSocket) || !socket.authorized) return verified;
  // The handshake has proved that the peer has the key of this very certificate, and it has been verified. (Not getPeerX509Certificate:
  // in a client, Node takes the leaf off the connection's chain with it, and answers the next call with the next certificate.)
  const { fingerprint256 } = socket.getPeerCertificate();
  return verifiedServers.get(fingerprint256);
}

/** For gRPC, which shows certificates only, and those of connections that TLS has authorized. */
export function spiffeIdOfCertificate(certificate: PeerCertificate): SpiffeId | undefined {
  return (certificate as Verified)[VERIFIED] ?? verifiedServers.get(certificate.fingerprint256);
}

export function markClient(socket: TLSSocket, spiffeId: SpiffeId): void {
  Object.defineProperty(socket, VERIFIED, { value: spiffeId });
  const getPeerCertificate = socket.getPeerCertificate.bind(socket) as (isDetailed?: boolean) => object;
  Object.defineProperty(socket, 'getPeerCertificate', {
    value: (isDetailed?: boolean) =>
      Object.defineProperty(getPeerCertificate(isDetailed), VERIFIED, { value: spiffeId }),
  });
}

export function rememberServer(leaf: PeerCertificate, spiffeId: SpiffeId): void {
  verifiedServers.delete(leaf.fingerprint256); // to the end: the oldest goes first
  verifiedServers.set(leaf.fingerprint256, spiffeId);
  if (verifiedServers.size <= MOST_REMEMBERED_SERVERS) return;
  const [oldest] = verifiedServers.keys();
  if (oldest !== undefined) verifiedServers.delete(oldest);
}
