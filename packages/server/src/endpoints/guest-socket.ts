/** Where a socket may be that others than its owner connect to: in a folder where nobody else can put another one in its place. */
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';

const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;
const GROUPS_FILE = '/etc/group';

/** @throws BonafideError `failed_precondition` for a folder that is missing, or in which others may rename files. */
export async function checkGuestFolder(socketPath: string): Promise<void> {
  const folder = dirname(socketPath);
  let mode: number;
  try {
    mode = (await stat(folder)).mode;
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `access.socket.path: the folder ${folder} cannot be used (${errorMessage(error)}); make it, so that the group may enter it`,
      { cause: error },
    );
  }
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) {
    throw new BonafideError(
      'failed_precondition',
      `access.socket.path: others may write in ${folder} and put a socket of their own there; chmod go-w ${folder}`,
    );
  }
}

/** @throws BonafideError `failed_precondition` for a group that is not in the file. */
export async function groupId(name: string, file: string = GROUPS_FILE): Promise<number> {
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const [group, , gid = ''] = line.split(':');
    if (group === name && /^\d+$/.test(gid)) return Number(gid);
  }
  throw new BonafideError('failed_precondition', `access.socket.group: there is no group ${name} in ${file}`);
}
