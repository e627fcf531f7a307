/** Ties each accepted connection to its peer, so that a call can be traced to who made it by nothing the caller can influence. */
import type { Socket } from 'node:net';
import type { Peer } from '../access/peer.js';

export class ConnectedPeers {
  readonly #connections = new Map<string, { readonly peer: Peer; readonly socket: Socket }>();
  #admitted = 0;

  /** To be called before the socket is handed to gRPC, which keys its calls by the socket's `remoteAddress`. */
  admit(socket: Socket, peer: Peer): void {
    this.#admitted += 1;
    const key = `connection-${this.#admitted}`;
    this.#connections.set(key, { peer, socket });
    Object.defineProperty(socket, 'remoteAddress', { value: key });
    Object.defineProperty(socket, 'remotePort', { value: undefined });
    socket.once('close', () => this.#connections.delete(key));
  }

  /** @param key the `remoteAddress` of a call's connection; undefined when that connection has ended. */
  find(key: string | undefined): Peer | undefined {
    return key === undefined ? undefined : this.#connections.get(key)?.peer;
  }

  /** Cuts the connection, with every call on it; harmless when it has ended. */
  cut(key: string | undefined): void {
    if (key !== undefined) this.#connections.get(key)?.socket.destroy();
  }

  get size(): number {
    return this.#connections.size;
  }

  count(kind: Peer['kind']): number {
    let count = 0;
    for (const { peer } of this.#connections.values()) if (peer.kind === kind) count += 1;
    return count;
  }
}
