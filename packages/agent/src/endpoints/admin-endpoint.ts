/** The agent's admin socket: for its owner alone, apart from the Workload API. What it serves is given to it. */
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { createPrivateDirectory } from '@bonafide/shared/runtime/private-file';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { listenOnUnixSocket, type UnixSocketFile } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { readPeerCredentials, socketDescriptor } from '@bonafide/shared/unix-socket/peer-credentials';

export interface AdminEndpointOptions {
  readonly socketPath: string;
  /** Each adds its service. */
  readonly services: readonly ((server: Server) => void)[];
  /** Whom the socket serves besides root; the user the agent runs as unless told. */
  readonly ownerUid?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const MOST_CONNECTIONS = 64;
const MAX_REQUEST_BYTES = 64 * 1024;

export class AdminEndpoint {
  readonly #options: AdminEndpointOptions;
  readonly #refusals: RefusalLog<'uid' | 'unidentified'>;
  readonly #listener: NetServer;
  readonly #server: Server;
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  readonly #sockets = new Set<Socket>();
  #file: UnixSocketFile | undefined;

  constructor(options: AdminEndpointOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options);
    this.#server = new Server({
      'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
      'grpc.enable_channelz': 0,
    });
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    for (const add of options.services) add(this.#server);
    this.#listener = createServer((socket) => {
      this.#accept(socket);
    });
    this.#listener.maxConnections = MOST_CONNECTIONS;
  }

  /** @throws BonafideError as `listenOnUnixSocket`. */
  async listen(): Promise<void> {
    const { socketPath: path, log } = this.#options;
    await createPrivateDirectory(dirname(path));
    this.#file = await listenOnUnixSocket(this.#listener, { path, mode: 0o600, occupied: 'replace', log });
    log.info({ path }, 'serving the admin API');
  }

  close(): void {
    this.#file?.remove();
    this.#file = undefined;
    this.#listener.close();
    this.#server.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    const { log, ownerUid = process.geteuid?.() } = this.#options;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', (error) => {
      log.debug({ err: error }, 'an admin connection failed');
    });
    try {
      // The mode of the file says the same, unless somebody changed it.
      const { uid, pid } = readPeerCredentials(socketDescriptor(socket));
      if (uid === 0 || uid === ownerUid) {
        this.#injector.injectConnection(socket);
        return;
      }
      this.#refusals.warn('uid', { uid, pid }, 'refused an admin connection of another user');
    } catch (error) {
      const message = `refused an admin connection whose caller is unknown: ${errorMessage(error)}`;
      this.#refusals.warn('unidentified', { err: error }, message);
    }
    socket.destroy();
  }
}
