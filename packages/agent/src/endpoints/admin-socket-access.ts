/** Who may reach the admin socket as the file system has it: its owner alone, unless delegates are to reach it too. */
import { chown } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { createDirectory } from '@bonafide/shared/runtime/create-directory';
import type { SocketAccess } from './peer-listener.js';

export const OWNER_ALONE: SocketAccess = {
  mode: 0o600,
  gid: undefined,
  prepareFolder: (socketPath) => prepareFolder(socketPath, 0o700, undefined),
};

const FOR_GROUP = 0o660;
const OTHERS_MAY_CONNECT = 0o002;
const GROUP_MAY_CONNECT = 0o020;

/**
 * For delegates: the group's unless told. A folder that exists stays as it is.
 * @param gid undefined: the agent's own group.
 */
export function delegatesAccess(gid: number | undefined, mode: number = FOR_GROUP): SocketAccess {
  const folderMode =
    (mode & OTHERS_MAY_CONNECT) !== 0 ? 0o755 : (mode & GROUP_MAY_CONNECT) !== 0 ? 0o750 : 0o700;
  return { mode, gid, prepareFolder: (socketPath) => prepareFolder(socketPath, folderMode, gid) };
}

async function prepareFolder(socketPath: string, mode: number, gid: number | undefined): Promise<void> {
  const folder = dirname(socketPath);
  try {
    const isNew = await createDirectory(folder, mode);
    if (isNew && gid !== undefined) await chown(folder, -1, gid);
  } catch (error) {
    throw new BonafideError('unavailable', `cannot listen on ${socketPath}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
