/** Puts a listening Unix socket at a path that every user can connect to, in place of what a former agent left there. */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { once } from 'node:events';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';

/** `sun_path` has 108 bytes with its closing zero; Node.js would silently cut off the rest. */
const MAX_SOCKET_PATH_BYTES = 107;
/** Connections that the kernel completes before we accept them; beyond it clients get EAGAIN. */
const BACKLOG = 4096;

/** @throws BonafideError `invalid_argument` when no Unix socket can have this path. */
export function checkSocketPath(path: string): void {
  if (!isAbsolute(path)) {
    throw invalidArgument(
      `socket path ${JSON.stringify(path)} is not absolute; expected one such as /run/agent.sock`,
    );
  }
  if (path.includes('\0')) throw invalidArgument(`socket path ${JSON.stringify(path)} has a zero byte`);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw invalidArgument(
      `socket path has ${bytes} bytes, at most ${MAX_SOCKET_PATH_BYTES} are possible: ${JSON.stringify(path)}`,
    );
  }
}

/**
 * Listens under a temporary name and renames it over the path, so that at every moment a client finds a working socket there or none.
 * @throws BonafideError `invalid_argument` for a path that cannot be, `failed_precondition` when something else than a socket is
 * there, `unavailable` when the system refuses.
 */
export async function listenAtPath(server: Server, path: string, log: Logger): Promise<void> {
  checkSocketPath(path);
  const folder = dirname(path);
  try {
    if (mkdirSync(folder, { recursive: true }) !== undefined) chmodSync(folder, 0o755);
    await checkOccupant(path, log);
    // Through the folder's descriptor the name to bind is short, however long the path is.
    const folderFd = openSync(folder, 'r');
    try {
      const temporary = join(`/proc/self/fd/${folderFd}`, `${basename(path).slice(0, 40)}.${process.pid}`);
      removeIfPresent(temporary);
      const listening = once(server, 'listening');
      server.listen({ path: temporary, backlog: BACKLOG });
      await listening;
      try {
        chmodSync(temporary, 0o777);
        renameSync(temporary, path);
      } catch (error) {
        unlinkSync(temporary);
        throw error;
      }
    } finally {
      closeSync(folderFd);
    }
  } catch (error) {
    server.close();
    if (error instanceof BonafideError) throw error;
    throw new BonafideError('unavailable', `cannot listen on ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** Removes the socket at the path if it is the one with this inode, and not already another agent's. */
export function removeSocket(path: string, inode: bigint): void {
  if (statSync(path, { bigint: true, throwIfNoEntry: false })?.ino === inode) unlinkSync(path);
}

export function inodeOf(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}

async function checkOccupant(path: string, log: Logger): Promise<void> {
  const occupant = lstatSync(path, { throwIfNoEntry: false });
  if (occupant === undefined) return;
  if (!occupant.isSocket()) {
    throw new BonafideError(
      'failed_precondition',
      `${path} exists and is no socket; remove it or choose another path`,
    );
  }
  const probe = connect(path);
  probe.on('error', () => undefined); // what matters is whether it connects; an end after that is no news
  try {
    await once(probe, 'connect');
    log.warn({ path }, 'another process listens on this socket; taking its place');
  } catch {
    log.debug({ path }, 'replacing a socket on which nobody listens');
  } finally {
    probe.destroy();
  }
}

function removeIfPresent(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path);
}
