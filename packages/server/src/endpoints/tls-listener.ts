/** The TLS port: HTTP/2 only, the client certificate optional, its chain verified by us before a single call is served. */
import { constants, type KeyObject, type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { TLS_POLICY } from '@bonafide/shared/crypto/tls-policy';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { Peer, PeerSvid } from '../access/peer.js';

export interface TlsIdentity {
  /** DER, leaf first. */
  readonly certificateChain: readonly Buffer[];
  readonly privateKey: KeyObject;
}

export interface TlsListenerOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  readonly identity: TlsIdentity;
  readonly maximumConnections: number;
  /** @param chain DER, leaf first, as the client sent it. @throws BonafideError when it does not lead to a bundle we hold. */
  readonly verifyClient: (chain: readonly Buffer[]) => PeerSvid;
  readonly onConnection: (socket: Socket, peer: Peer) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Then the kernel asks once a second, ten times: a peer that is gone without a word costs us nothing and is noticed within half a minute. */
const SILENCE_BEFORE_PROBE_MS = 20_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const BACKLOG = 4096;
const LONGEST_CLIENT_CHAIN = 8;

export class TlsListener {
  readonly #options: TlsListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #refusals: RefusalLog<'certificate'>;

  constructor(options: TlsListenerOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options);
    this.#server = createServer({
      ...secureContextOptions(options.identity),
      ALPNProtocols: ['h2'],
      requestCert: true,
      // The handshake proves possession of the key; whether to trust the chain is verifyClient's to say, for OpenSSL as configured by
      // Node.js 20 accepts neither anchors that are not self-signed nor a different bundle for each trust domain.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: SILENCE_BEFORE_PROBE_MS,
    });
    this.#server.maxConnections = options.maximumConnections;
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('secureConnection', (socket) => {
      this.#accept(socket);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      options.log.debug({ err: error, address: socket.remoteAddress }, 'a TLS handshake failed');
    });
  }

  /** @returns the port. @throws BonafideError `unavailable` when it cannot be bound. */
  listen(): Promise<number> {
    const { address, port } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(
          new BonafideError(
            'unavailable',
            `cannot listen on ${address}:${port}: ${error.message}; choose another bind_address or bind_port`,
            { cause: error },
          ),
        );
      };
      this.#server.once('error', fail);
      this.#server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#server.removeListener('error', fail);
        const bound = this.#server.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
      });
    });
  }

  /** New connections see the new identity; present ones live on. @throws when key and certificate do not go together; the old ones stay. */
  update(identity: TlsIdentity): void {
    const options = secureContextOptions(identity);
    createSecureContext(options); // throws before the server takes it: a bad one would refuse every connection
    this.#server.setSecureContext(options);
  }

  stopAccepting(): void {
    this.#server.close();
  }

  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: TLSSocket): void {
    const { onConnection, verifyClient, log } = this.#options;
    const address = ipAddress(socket);
    socket.on('error', (error) => {
      log.debug({ err: error, address }, 'a connection failed');
    });
    if (address === undefined || socket.alpnProtocol !== 'h2') {
      log.debug({ address }, 'refused a connection that does not speak HTTP/2');
      socket.destroy();
      return;
    }
    try {
      const leaf = socket.getPeerX509Certificate();
      const svid = leaf === undefined ? undefined : verifyClient(presentedChain(leaf));
      onConnection(socket, { kind: 'remote', address, svid });
    } catch (error) {
      this.#refusals.warn('certificate', { address }, `refused a client certificate: ${errorMessage(error)}`);
      socket.destroy();
    }
  }
}

function secureContextOptions(identity: TlsIdentity): SecureContextOptions {
  return {
    cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
    ca: [], // names no authority to the client, and spares OpenSSL the public ones
    ...TLS_POLICY,
    // A resumed session would carry over an identity whose authority may have been removed since.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function presentedChain(leaf: X509Certificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: X509Certificate | undefined = leaf;
  while (next !== undefined && chain.length < LONGEST_CLIENT_CHAIN) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}

function ipAddress(socket: Socket): string | undefined {
  const address = socket.remoteAddress;
  return address?.startsWith('::ffff:') === true ? address.slice('::ffff:'.length) : address;
}
