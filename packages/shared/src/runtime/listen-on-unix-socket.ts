/** Puts a server on a Unix socket path: whole or not at all, over a dead predecessor's file, never over a living one. */
import { randomBytes } from 'node:crypto';
import { chmod, lstat, rename, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';

/** sun_path has 108 bytes with its closing zero; Node.js cuts a longer path without a word. */
const MAXIMUM_PATH_BYTES = 107;
const BACKLOG = 4096;

export interface UnixSocketOptions {
  readonly path: string;
  /** Of the socket file; its folder is the caller's affair. */
  readonly mode: number;
}

export interface UnixSocketFile {
  /** Removes the file, unless somebody else has put theirs in its place. */
  remove(): Promise<void>;
}

/**
 * Binds beside the path, sets the mode, then renames over the path, so that nobody meets a socket with other permissions and
 * clients never find the path empty.
 * @throws BonafideError `invalid_argument` when the path is too long or holds no socket; `failed_precondition` when somebody already
 * listens there; `unavailable` when it cannot be bound.
 */
export async function listenOnUnixSocket(
  server: Server,
  options: UnixSocketOptions,
): Promise<UnixSocketFile> {
  const { path, mode } = options;
  const temporary = join(dirname(path), `.${randomBytes(3).toString('hex')}`);
  const excess = Math.max(Buffer.byteLength(path), Buffer.byteLength(temporary)) - MAXIMUM_PATH_BYTES;
  if (excess > 0) {
    throw new BonafideError(
      'invalid_argument',
      `socket path ${path} is ${excess} bytes too long; at most ${MAXIMUM_PATH_BYTES} bytes are accepted`,
    );
  }
  await refuseOccupied(path);
  try {
    await listen(server, temporary);
    await chmod(temporary, mode);
    const { ino, dev } = await lstat(temporary);
    await rename(temporary, path);
    return {
      async remove() {
        const now = await lstat(path).catch(() => undefined); // gone already
        if (now?.ino === ino && now.dev === dev) await unlink(path);
      },
    };
  } catch (error) {
    await unlink(temporary).catch(() => undefined); // it may never have come to exist
    throw new BonafideError('unavailable', `cannot listen on ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

async function refuseOccupied(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new BonafideError(
      'invalid_argument',
      `socket path ${path} holds a file that is no socket; remove it`,
    );
  }
  if (await isAnswering(path)) {
    throw new BonafideError(
      'failed_precondition',
      `another process listens on ${path}; stop it, or choose another socket path`,
    );
  }
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      // Nobody listens when the connection is refused; any other error leaves that open.
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path, backlog: BACKLOG }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}
