/** The folder that a field of the configuration names: made when it is not there, and ours to use. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import { createPrivateDirectory } from '../runtime/private-file.js';

/** @throws BonafideError `failed_precondition` naming the field. */
export async function prepareDataFolder(field: string, path: string): Promise<void> {
  let mode;
  try {
    await createPrivateDirectory(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    mode = (await stat(path)).mode;
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `cannot use ${field} ${path}: ${errorMessage(error)}; expected a folder that this user may read and write`,
      { cause: error },
    );
  }
  if ((mode & 0o002) === 0) return;
  throw new BonafideError(
    'failed_precondition',
    `cannot use ${field} ${path}: everybody may write into it, and so put keys and records there; run: chmod 700 ${path}`,
  );
}
