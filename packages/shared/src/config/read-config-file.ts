/** The text of a configuration file, which is not read when it is too large to be one. */
import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';

const LARGEST_FILE_BYTES = 1024 * 1024;

/** @throws BonafideError `not_found`; `invalid_argument` for what is too large or no text. */
export async function readConfigFile(path: string, kind: 'config' | 'file' = 'config'): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > LARGEST_FILE_BYTES) {
      throw invalidArgument(
        `${path} is larger than ${LARGEST_FILE_BYTES} bytes; is it the configuration file?`,
      );
    }
    return decodeUtf8(path, await readFile(path));
  } catch (error) {
    if (error instanceof BonafideError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new BonafideError(
        'not_found',
        kind === 'config'
          ? `there is no configuration file ${resolve(path)}; name it with --config`
          : `there is no file ${path}${isAbsolute(path) ? '' : ' in the working folder'}`,
        { cause: error },
      );
    }
    throw new BonafideError('invalid_argument', `cannot read ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function decodeUtf8(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalidArgument(`${path} is not UTF-8 text`, error);
  }
}
