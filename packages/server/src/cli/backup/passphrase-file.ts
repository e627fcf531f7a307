/** A passphrase from a file: the first line of it, which nobody else may read. */
import { readFile, stat } from 'node:fs/promises';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';

const LEAST_CHARACTERS = 12;

/** @throws BonafideError `invalid_argument` when it cannot be read, others may read it, or it is too short to keep anybody out. */
export async function readPassphrase(path: string): Promise<string> {
  let text;
  try {
    const status = await stat(path);
    if (status.isFile() && (status.mode & 0o077) !== 0) {
      throw invalidArgument(`others may read the passphrase file ${path}; run: chmod 600 ${path}`);
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw invalidArgument(`cannot use the passphrase file: ${errorMessage(error)}`, error);
  }
  const [passphrase = ''] = text.split(/\r?\n/);
  if (passphrase.length >= LEAST_CHARACTERS) return passphrase;
  throw invalidArgument(
    `the first line of the passphrase file ${path} has fewer than ${LEAST_CHARACTERS} characters`,
  );
}
