/** The local sockets of the API, every caller named by the kernel: the admin socket in a folder for its owner alone, and that of teams. */
import { stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { listenOnUnixSocket, type UnixSocketFile } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import type { Logger } from '@bonafide/shared/runtime/logger';
import {
  readPeerCredentials,
  readPeerGroups,
  socketDescriptor,
} from '@bonafide/shared/unix-socket/peer-credentials';
import { createPrivateDirectory } from '@bonafide/shared/runtime/private-file';
import type { Peer } from '../access/peer.js';

export interface AdminListenerOptions {
  readonly socketPath: string;
  readonly maximumConnections: number;
  readonly onConnection: (socket: Socket, peer: Peer) => void;
  readonly log: Logger;
  /** Undefined: nobody but its owner may connect. */
  readonly guests?: { readonly mode: number; readonly gid: number | undefined };
}

export class AdminListener {
  readonly #options: AdminListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #file: UnixSocketFile | undefined;

  constructor(options: AdminListenerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => {
      this.#accept(socket);
    });
    this.#server.maxConnections = options.maximumConnections;
  }

  /** The folder must be there. @throws BonafideError as `listenOnUnixSocket`. */
  async listen(): Promise<void> {
    const { socketPath: path, guests, log } = this.#options;
    const { mode, gid } = guests ?? { mode: 0o600, gid: undefined };
    this.#file = await listenOnUnixSocket(this.#server, { path, mode, gid, occupied: 'refuse', log });
  }

  stopAccepting(): void {
    this.#server.close();
    this.#file?.remove();
    this.#file = undefined;
  }

  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    const { guests, onConnection, log } = this.#options;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', (error) => {
      log.debug({ err: error }, 'a local connection failed');
    });
    try {
      const descriptor = socketDescriptor(socket);
      const { uid, gid, pid } = readPeerCredentials(descriptor);
      const peer = { kind: 'local', uid, pid } as const;
      if (guests === undefined) onConnection(socket, peer);
      else onConnection(socket, { ...peer, gids: [gid, ...readPeerGroups(descriptor)], isGuest: true });
    } catch (error) {
      log.warn({ err: error }, `refused a local connection: ${errorMessage(error)}`);
      socket.destroy();
    }
  }
}

/**
 * Makes the socket's folder, for its owner alone, unless it is there.
 * @returns whom the socket serves: root, the owner of the folder, and whoever the server itself runs as.
 */
export async function prepareSocketFolder(socketPath: string): Promise<ReadonlySet<number>> {
  const folder = dirname(socketPath);
  await createPrivateDirectory(folder);
  return new Set([0, (await stat(folder)).uid, process.geteuid?.() ?? 0]);
}
