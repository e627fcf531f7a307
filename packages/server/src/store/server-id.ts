/** Which of the servers on a database this one is: made at the first start, kept in the data folder. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { readFileIfExists, writeFileAtomic } from '@bonafide/shared/runtime/private-file';

export const SERVER_ID_FILE = 'server-id';
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Whoever has the file moves the authorities of that server: it must not be copied to a second one.
 * @throws BonafideError `failed_precondition` for a damaged file, which is not replaced: a new id would leave the authorities behind.
 */
export async function loadServerId(dataFolder: string): Promise<string> {
  const path = join(dataFolder, SERVER_ID_FILE);
  const text = (await readFileIfExists(path))?.toString('utf8').trim();
  if (text === undefined) {
    const id = randomUUID();
    await writeFileAtomic(path, `${id}\n`);
    return id;
  }
  if (!ID.test(text)) {
    throw new BonafideError(
      'failed_precondition',
      `the file ${path} is damaged; restore it, or remove it to have this server start over with authorities of its own`,
    );
  }
  return text;
}
