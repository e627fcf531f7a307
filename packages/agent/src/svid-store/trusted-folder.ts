/** Whether a folder is safe to keep keys in: nobody but its owner and root can put something else in their place. */
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

const GROUP_OR_OTHERS_WRITE = 0o022;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;
const ROOT = 0;

/** @throws BonafideError `failed_precondition` naming who could interfere and how to prevent it. */
export async function requireTrustedFolder(path: string): Promise<void> {
  const real = await realpath(path);
  const { mode, uid } = await stat(real);
  if ((mode & GROUP_OR_OTHERS_WRITE) !== 0) {
    throw refusal(`others than its owner can write in ${real}; take that away with 'chmod go-w ${real}'`);
  }
  const self = process.geteuid?.() ?? uid;
  if (uid !== self && uid !== ROOT) {
    throw refusal(`${real} belongs to user ${uid}; expected one that belongs to user ${self} or root`);
  }
  for (let parent = dirname(real); ; parent = dirname(parent)) {
    const above = await stat(parent);
    if (above.uid !== self && above.uid !== ROOT) {
      throw refusal(
        `${parent} belongs to user ${above.uid}, who can replace what is below it; choose another place`,
      );
    }
    if ((above.mode & OTHERS_WRITE) !== 0 && (above.mode & STICKY) === 0) {
      throw refusal(
        `every user can write in ${parent} and so replace what is below it; choose another place`,
      );
    }
    if (parent === dirname(parent)) return;
  }
}

function refusal(why: string): BonafideError {
  return new BonafideError('failed_precondition', `keys are not written here: ${why}`);
}
