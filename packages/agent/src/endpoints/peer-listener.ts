/** Accepts connections on a Unix socket and learns from the kernel who opened each, before a byte of it is served. */
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { socketDescriptor, type PeerCredentials } from '@bonafide/shared/unix-socket/peer-credentials';
import { ProcessExits } from '@bonafide/shared/unix-socket/process-exits';
import {
  BACKLOG,
  listenOnUnixSocket,
  type UnixSocketFile,
} from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { moreAcceptors } from '@bonafide/shared/unix-socket/more-acceptors';
import { CallerQuota } from './caller-quota.js';
import { requireOwnProcfs } from './own-procfs.js';
import { Peer } from './peer.js';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { ConnectionRefusal } from '../telemetry/agent-metrics.js';
import { prepareSocketFolder } from './socket-folder.js';

/** Looked at for each connection. */
interface ConnectionLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerUid: number;
}

/** A path to listen at, or a listening socket that was inherited (sd_listen_fds(3)). */
export type ListenAddress =
  { readonly path: string; readonly access?: SocketAccess } | { readonly fd: number };

/** Who may reach a socket at all, as the file system has it; everybody unless told. */
export interface SocketAccess {
  readonly mode: number;
  /** Undefined: the agent's own. */
  readonly gid: number | undefined;
  /** Makes the folder of the socket. */
  readonly prepareFolder: (socketPath: string) => Promise<void>;
}

const FOR_ALL: SocketAccess = { mode: 0o777, gid: undefined, prepareFolder: prepareSocketFolder };

export interface PeerListenerOptions {
  /** Takes an accepted socket whose `remoteAddress` is the peer's connection ID, and serves it. */
  readonly serve: (socket: Socket) => void;
  /** Whom it takes at all; everybody unless told. */
  readonly admits?: (credentials: PeerCredentials) => boolean;
  readonly limits: ConnectionLimits;
  /** Told of each connection that it does not take. */
  readonly onRefused?: ((why: ConnectionRefusal) => void) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Connection {
  readonly socket: Socket;
  readonly peer: Peer;
}

/** How long a connection may outlive the process that opened it, when another process holds its socket open. */
const EXIT_SWEEP_MS = 500;
/** Connections accepted in a turn of the event loop, so that one caller's crowd is let in, and turned away, before it keeps others out. */
const ACCEPTORS = 8;

export class PeerListener {
  readonly #options: PeerListenerOptions;
  readonly #refusals: RefusalLog<ConnectionRefusal>;
  readonly #server: Server;
  #otherServers: readonly Server[] = [];
  readonly #connections = new Map<string, Connection>();
  readonly #connectionsByPidfd = new Map<number, Connection>();
  readonly #ofUsers: CallerQuota;
  #exits: ProcessExits | undefined;
  #sweep: Timer | undefined;
  #sequence = 0;
  #socketFile: UnixSocketFile | undefined;

  constructor(options: PeerListenerOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options);
    this.#ofUsers = new CallerQuota(() => options.limits.maxConnectionsPerUid);
    this.#server = createServer(this.#accept);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** @throws BonafideError, see `requireOwnProcfs`, `prepareSocketFolder` and `listenOnUnixSocket`. */
  async listen(address: ListenAddress): Promise<void> {
    requireOwnProcfs();
    this.#exits = new ProcessExits(); // fails here rather than at the first caller when the system cannot tell who calls
    if ('path' in address) {
      const { path, access = FOR_ALL } = address;
      const { log } = this.#options;
      await access.prepareFolder(path);
      const { mode, gid } = access;
      const options = { path, mode, gid, occupied: 'replace', log } as const;
      this.#socketFile = await listenOnUnixSocket(this.#server, options);
    } else {
      const listening = once(this.#server, 'listening');
      this.#server.listen({ fd: address.fd }, BACKLOG);
      await listening;
    }
    this.#otherServers = await moreAcceptors(this.#server, ACCEPTORS - 1, this.#accept);
    for (const server of [this.#server, ...this.#otherServers]) {
      server.on('error', (error) => {
        this.#refusals.warn('accept', { err: error }, 'a connection could not be accepted');
      });
    }
  }

  /** Of every connection that is open. */
  *peers(): Generator<Peer, undefined> {
    for (const { peer } of this.#connections.values()) yield peer;
    return undefined;
  }

  /** The peer of a connection that is open. */
  peer(connectionId: string | undefined): Peer | undefined {
    return connectionId === undefined ? undefined : this.#connections.get(connectionId)?.peer;
  }

  /** No more connections; those that are open stay. */
  stopAccepting(): void {
    this.#socketFile?.remove();
    this.#socketFile = undefined;
    for (const server of [this.#server, ...this.#otherServers]) server.close();
  }

  destroyConnections(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
    this.#sweep?.cancel();
    this.#exits?.close();
    this.#exits = undefined;
  }

  readonly #accept = (socket: Socket): void => {
    socket.on('error', (error) => {
      this.#options.log.debug({ err: error }, 'connection failed');
    });
    let peer: Peer | undefined;
    try {
      const connectionId = `peer:${(this.#sequence += 1)}`;
      peer = Peer.open(socketDescriptor(socket), connectionId, () => socket.destroy());
      if (!this.#admit(socket, peer)) {
        peer.close();
        socket.destroy();
        return;
      }
    } catch (error) {
      peer?.close();
      socket.destroy();
      const message = `refused a connection whose caller is unknown: ${errorMessage(error)}`;
      this.#refusals.warn('unidentified', { err: error }, message);
      return;
    }
    // Node.js gives Unix sockets no remote address; grpc hands this one to the interceptors of each call on the connection.
    Object.defineProperty(socket, 'remoteAddress', { value: peer.connectionId });
    Object.defineProperty(socket, 'remotePort', { value: undefined });
    this.#options.serve(socket);
  };

  /** Counts the connection in, unless a limit is reached. */
  #admit(socket: Socket, peer: Peer): boolean {
    const { maxConnections } = this.#options.limits;
    const { pidfd } = peer;
    const { uid, pid } = peer.credentials;
    if (this.#exits === undefined || pidfd === undefined) return false;
    if (this.#options.admits?.(peer.credentials) === false) {
      this.#refusals.warn('stranger', { uid, pid }, 'refused a connection of another user');
      return false;
    }
    if (this.#connections.size >= maxConnections) {
      this.#refusals.warn('total', { uid, pid, maxConnections }, 'refused a connection: too many are open');
      return false;
    }
    this.#exits.watch(pidfd);
    const leave = this.#ofUsers.enter(uid);
    if (leave === undefined) {
      this.#exits.unwatch(pidfd);
      const fields = { uid, pid, maxConnectionsPerUid: this.#ofUsers.limit };
      this.#refusals.warn('uid', fields, 'refused a connection: its user has too many open');
      return false;
    }
    const connection = { socket, peer };
    this.#connections.set(peer.connectionId, connection);
    this.#connectionsByPidfd.set(pidfd, connection);
    this.#sweep ??= this.#scheduleSweep();
    socket.once('close', () => {
      this.#connections.delete(peer.connectionId);
      this.#connectionsByPidfd.delete(pidfd);
      this.#exits?.unwatch(pidfd);
      peer.close();
      leave();
    });
    return true;
  }

  #scheduleSweep(): Timer {
    return this.#options.clock.schedule(EXIT_SWEEP_MS, () => {
      for (const pidfd of this.#exits?.exited() ?? []) this.#connectionsByPidfd.get(pidfd)?.socket.destroy();
      this.#sweep = this.#connections.size > 0 ? this.#scheduleSweep() : undefined;
    });
  }
}
