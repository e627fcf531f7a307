/** Puts a server on a Unix socket path: whole or not at all, over a dead predecessor's file, over a living one's only when asked to. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import type { Logger } from '../runtime/logger.js';

/** `sun_path` has 108 bytes with its closing zero; Node.js cuts a longer path without a word. */
const MAXIMUM_PATH_BYTES = 107;
/** Connections that the kernel completes before we accept them; beyond it clients get EAGAIN. */
export const BACKLOG = 4096;

export interface UnixSocketOptions {
  readonly path: string;
  /** Of the socket file; its folder is the caller's affair. */
  readonly mode: number;
  /** The group of the socket file; undefined: as the system has it. */
  readonly gid?: number | undefined;
  /** What happens to somebody who still listens there; a socket on which nobody does is replaced in any case. */
  readonly occupied: 'refuse' | 'replace';
  readonly log: Logger;
}

export interface UnixSocketFile {
  /** Removes the file, unless somebody else has put theirs in its place. */
  remove(): void;
}

/**
 * Binds beside the path, sets the mode, then renames over the path, so that nobody meets a socket with other permissions and
 * clients never find the path empty.
 * @throws BonafideError `invalid_argument` for a path that cannot be; `failed_precondition` when something else than a socket is
 * there, or somebody who is not to be replaced; `unavailable` when the system refuses.
 */
export async function listenOnUnixSocket(
  server: Server,
  options: UnixSocketOptions,
): Promise<UnixSocketFile> {
  const { path } = options;
  checkSocketPath(path);
  try {
    await checkOccupant(options);
    return await bind(server, options);
  } catch (error) {
    server.close();
    if (error instanceof BonafideError) throw error;
    throw cannotListen(path, error);
  }
}

/**
 * For those who have much to do before they listen, and would do it in vain.
 * @throws BonafideError as `listenOnUnixSocket` for what can be known beforehand.
 */
export function checkSocketPath(path: string): void {
  if (path.includes('\0')) throw invalidArgument(`socket path ${JSON.stringify(path)} has a zero byte`);
  const excess = Buffer.byteLength(path) - MAXIMUM_PATH_BYTES;
  if (excess > 0) {
    throw invalidArgument(
      `socket path ${path} is ${excess} bytes too long; at most ${MAXIMUM_PATH_BYTES} bytes are accepted`,
    );
  }
  if (statusOf(path)?.isSocket() === false) {
    throw new BonafideError(
      'failed_precondition',
      `${path} exists and is no socket; remove it or choose another path`,
    );
  }
}

function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw cannotListen(path, error);
  }
}

function cannotListen(path: string, error: unknown): BonafideError {
  return new BonafideError('unavailable', `cannot listen on ${path}: ${errorMessage(error)}`, {
    cause: error,
  });
}

async function bind(server: Server, { path, mode, gid }: UnixSocketOptions): Promise<UnixSocketFile> {
  // Through the folder's descriptor the name to bind is short, however long the path is.
  const folder = openSync(dirname(path), 'r');
  try {
    const temporary = `/proc/self/fd/${folder}/.${randomBytes(6).toString('hex')}`;
    const listening = once(server, 'listening');
    server.listen({ path: temporary, backlog: BACKLOG });
    await listening;
    try {
      if (gid !== undefined) chownSync(temporary, -1, gid);
      chmodSync(temporary, mode);
      const { ino, dev } = lstatSync(temporary, { bigint: true });
      renameSync(temporary, join(`/proc/self/fd/${folder}`, basename(path)));
      return {
        remove() {
          const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
          if (found?.ino === ino && found.dev === dev) unlinkSync(path);
        },
      };
    } catch (error) {
      unlinkSync(temporary);
      throw error;
    }
  } finally {
    closeSync(folder);
  }
}

async function checkOccupant({ path, occupied, log }: UnixSocketOptions): Promise<void> {
  if (statusOf(path) === undefined) return;
  if (!(await isAnswering(path))) {
    log.debug({ path }, 'replacing a socket on which nobody listens');
    return;
  }
  if (occupied === 'refuse') {
    throw new BonafideError(
      'failed_precondition',
      `another process listens on ${path}; stop it, or choose another socket path`,
    );
  }
  log.warn({ path }, 'another process listens on this socket; taking its place');
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Nobody listens when the connection is refused; any other error leaves that open. An end after connecting is no news.
    probe.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
