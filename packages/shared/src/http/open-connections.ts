/** Every connection of a server, so that stopping it waits for nobody: neither for those that are idle nor for those that never finished a handshake. */
import type { Server, Socket } from 'node:net';

export class OpenConnections {
  readonly #sockets = new Set<Socket>();

  /** To be created before the server listens. */
  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
