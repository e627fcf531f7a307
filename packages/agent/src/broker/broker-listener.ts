/** Mutual TLS of the SPIFFE Broker Endpoint (section 3.1), over a Unix socket or TCP: nobody speaks who has no X.509-SVID that we believe. */
import { constants, type X509Certificate } from 'node:crypto';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { TLS_POLICY } from '@bonafide/shared/crypto/tls-policy';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { listenOnUnixSocket, type UnixSocketFile } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { prepareSocketFolder } from '../endpoints/socket-folder.js';

export type BrokerAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export interface BrokerListenerOptions {
  readonly address: BrokerAddress;
  /** The agent's own, at this moment. */
  readonly identity: () => X509Svid | undefined;
  /** @param chain DER, leaf first. @throws BonafideError when the connection is to be cut. */
  readonly accept: (socket: TLSSocket, chain: readonly Buffer[], isTcp: boolean) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MOST_CONNECTIONS = 1_000;
const LONGEST_CHAIN = 8;
/** TLS asks who connects; the file system does not have to. */
const SOCKET_MODE = 0o777;

export class BrokerListener {
  readonly #options: BrokerListenerOptions;
  readonly #server: Server;
  readonly #refusals: RefusalLog<'certificate' | 'no_identity' | 'accept'>;
  #served: X509Svid | undefined;
  #file: UnixSocketFile | undefined;

  constructor(options: BrokerListenerOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options);
    this.#server = createServer({
      ALPNProtocols: ['h2'],
      requestCert: true,
      // The handshake proves possession of the key; the chain is verified by our own rules right after it.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.prependListener('connection', () => {
      this.#present();
    });
    this.#server.on('secureConnection', (socket) => {
      this.#accept(socket);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      options.log.debug({ err: error }, 'a TLS handshake with a broker failed');
      socket.destroy();
    });
  }

  /** @returns the port, of TCP. @throws BonafideError as `listenOnUnixSocket`; `unavailable` when the port cannot be bound. */
  async listen(): Promise<number | undefined> {
    const { address, log } = this.#options;
    this.#present();
    if ('path' in address) {
      await prepareSocketFolder(address.path);
      const options = { path: address.path, mode: SOCKET_MODE, occupied: 'replace', log } as const;
      this.#file = await listenOnUnixSocket(this.#server, options);
    } else {
      await this.#bind(address);
    }
    this.#server.on('error', (error) => {
      this.#refusals.warn('accept', { err: error }, 'a connection of a broker could not be accepted');
    });
    log.info(address, 'serving the SPIFFE Broker API');
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : undefined;
  }

  stopAccepting(): void {
    this.#file?.remove();
    this.#file = undefined;
    this.#server.close();
  }

  #bind({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        const message = `cannot listen on ${host}:${port}: ${error.message}; choose another broker.bind_address`;
        reject(new BonafideError('unavailable', message, { cause: error }));
      };
      this.#server.once('error', fail);
      this.#server.listen({ host, port }, () => {
        this.#server.removeListener('error', fail);
        resolve();
      });
    });
  }

  /** Each new connection sees the agent's identity of that moment. */
  #present(): void {
    const svid = this.#options.identity();
    if (svid === undefined || svid === this.#served) return;
    this.#server.setSecureContext({
      cert: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      key: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
      ca: [],
      ...TLS_POLICY,
      minVersion: 'TLSv1.3',
      // A resumed session would carry over an identity whose authority may have been removed since.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    this.#served = svid;
  }

  #accept(socket: TLSSocket): void {
    const { accept, address, clock, identity, log } = this.#options;
    socket.on('error', (error) => {
      log.debug({ err: error }, 'a connection of a broker failed');
    });
    try {
      const own = identity();
      if (own === undefined || own.notAfter <= clock.now()) {
        this.#refusals.warn('no_identity', {}, 'refused a broker: this agent has no identity of its own now');
        socket.destroy();
        return;
      }
      if (socket.alpnProtocol !== 'h2')
        throw new BonafideError('invalid_argument', 'it does not speak HTTP/2');
      const leaf = socket.getPeerX509Certificate();
      if (leaf === undefined) throw new BonafideError('unauthenticated', 'it has no certificate');
      accept(socket, presentedChain(leaf), 'port' in address);
    } catch (error) {
      this.#refusals.warn(
        'certificate',
        {},
        `refused a connection to the Broker API: ${errorMessage(error)}`,
      );
      socket.destroy();
    }
  }
}

function presentedChain(leaf: X509Certificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: X509Certificate | undefined = leaf;
  while (next !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}
