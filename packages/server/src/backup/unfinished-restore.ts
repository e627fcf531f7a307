/** A mark in the data folder while a restore is at work: a server that starts on half of one would make new authorities. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';

const FILE = 'restore-unfinished';

export async function markRestore(dataFolder: string, backupPath: string): Promise<void> {
  await writeFileAtomic(join(dataFolder, FILE), `${backupPath}\n`);
}

export async function unmarkRestore(dataFolder: string): Promise<void> {
  await rm(join(dataFolder, FILE), { force: true });
}

/** @throws BonafideError `failed_precondition` when a restore was interrupted. */
export async function refuseUnfinishedRestore(dataFolder: string): Promise<void> {
  const path = join(dataFolder, FILE);
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  throw new BonafideError(
    'failed_precondition',
    `a restore into ${dataFolder} was interrupted; run 'bonafide-server restore --force' again with the same backup, or remove ${path} to start on what is there`,
  );
}
