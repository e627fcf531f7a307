/** Ties each accepted connection to its peer, so that a call can be traced to who made it by nothing the caller can influence. */
import type { Socket } from 'node:net';
import type { Peer } from '../access/peer.js';

export class ConnectedPeers {
  readonly #peers = new Map<string, Peer>();
  #connections = 0;

  /** To be called before the socket is handed to gRPC, which keys its calls by the socket's `remoteAddress`. */
  admit(socket: Socket, peer: Peer): void {
    this.#connections += 1;
    const key = `connection-${this.#connections}`;
    this.#peers.set(key, peer);
    Object.defineProperty(socket, 'remoteAddress', { value: key });
    Object.defineProperty(socket, 'remotePort', { value: undefined });
    socket.once('close', () => this.#peers.delete(key));
  }

  /** @param key the `remoteAddress` of a call's connection; undefined when that connection has ended. */
  find(key: string | undefined): Peer | undefined {
    return key === undefined ? undefined : this.#peers.get(key);
  }

  get size(): number {
    return this.#peers.size;
  }
}
