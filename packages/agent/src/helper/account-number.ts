/** The numbers of users and groups that a configuration names. */
import { readFile } from 'node:fs/promises';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Ownership } from '../svid-store/write-new-file.js';

const HIGHEST_NUMBER = 2 ** 32 - 2;

/** @throws BonafideError `invalid_argument` for a name that this machine does not have. */
export async function ownershipOf(named: {
  readonly owner: string | undefined;
  readonly group: string | undefined;
}): Promise<Ownership> {
  return {
    uid: await numberOf(named.owner, 'user', '/etc/passwd'),
    gid: await numberOf(named.group, 'group', '/etc/group'),
  };
}

async function numberOf(
  name: string | undefined,
  kind: 'group' | 'user',
  path: string,
): Promise<number | undefined> {
  if (name === undefined) return undefined;
  if (/^\d{1,10}$/.test(name) && Number(name) <= HIGHEST_NUMBER) return Number(name);
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    const [candidate, , number] = line.split(':');
    if (candidate === name && number !== undefined && /^\d{1,10}$/.test(number)) return Number(number);
  }
  throw invalidArgument(
    `there is no ${kind} ${JSON.stringify(name)} in ${path}; expected a name from there or a number`,
  );
}
