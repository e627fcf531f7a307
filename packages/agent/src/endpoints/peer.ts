/** The process that opened a connection, held by a pidfd so that neither its exit nor the reuse of its pid can deceive us. */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  openPeerPidfd,
  readPeerCredentials,
  type PeerCredentials,
} from '@bonafide/shared/unix-socket/peer-credentials';
import { isPidfdAlive } from '@bonafide/shared/unix-socket/process-exits';
import type { HeldProcess } from '../workload-attestation/attested-process.js';

export class Peer {
  /** Unique within this agent's life; nothing that a caller can choose. */
  readonly connectionId: string;
  readonly credentials: PeerCredentials;
  readonly #disconnect: () => void;
  #pidfd: number | undefined;

  private constructor(
    connectionId: string,
    credentials: PeerCredentials,
    pidfd: number,
    disconnect: () => void,
  ) {
    this.connectionId = connectionId;
    this.credentials = credentials;
    this.#pidfd = pidfd;
    this.#disconnect = disconnect;
  }

  /**
   * @param fd the accepted socket; to be called at once after accepting.
   * @throws BonafideError `permission_denied` or `unavailable`, see `readPeerCredentials`.
   */
  static open(fd: number, connectionId: string, disconnect: () => void): Peer {
    const credentials = readPeerCredentials(fd);
    return new Peer(connectionId, credentials, openPeerPidfd(fd, credentials.pid), disconnect);
  }

  /** Undefined once the connection has ended. */
  get pidfd(): number | undefined {
    return this.#pidfd;
  }

  isAlive(): boolean {
    return this.#pidfd !== undefined && isPidfdAlive(this.#pidfd);
  }

  /**
   * A way to the process's facts that can only ever show this very process: its folder in procfs is opened first and the pidfd asked
   * after, so the pid cannot have been given to another process in between.
   * @param procRoot where procfs is mounted.
   * @throws BonafideError `unauthenticated` when it has exited, `unavailable` when its folder cannot be opened.
   */
  holdProcess(procRoot = '/proc'): HeldProcess {
    let folder: number | undefined;
    try {
      folder = openSync(
        join(procRoot, String(this.credentials.pid)),
        constants.O_RDONLY | constants.O_DIRECTORY,
      );
      if (!this.isAlive()) throw exited();
    } catch (error) {
      if (folder !== undefined) closeSync(folder);
      if (!this.isAlive()) throw exited();
      throw new BonafideError('unavailable', 'the calling process cannot be looked at', { cause: error });
    }
    return new HeldPeerProcess(this, folder);
  }

  /** Ends the connection, with every call on it. */
  disconnect(): void {
    this.#disconnect();
  }

  /** To be called when the connection has ended. */
  close(): void {
    if (this.#pidfd === undefined) return;
    closeSync(this.#pidfd);
    this.#pidfd = undefined;
  }
}

class HeldPeerProcess implements HeldProcess {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly procPath: string;
  readonly #peer: Peer;
  #folder: number | undefined;

  constructor(peer: Peer, folder: number) {
    ({ pid: this.pid, uid: this.uid, gid: this.gid } = peer.credentials);
    this.procPath = `/proc/self/fd/${folder}`;
    this.#peer = peer;
    this.#folder = folder;
  }

  isAlive(): boolean {
    return this.#peer.isAlive();
  }

  close(): void {
    if (this.#folder === undefined) return;
    closeSync(this.#folder);
    this.#folder = undefined;
  }
}

function exited(): BonafideError {
  return new BonafideError('unauthenticated', 'the caller has exited');
}
