/** A file with which this node proves what it is, as it is now. */
import { readFile, stat } from 'node:fs/promises';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/** @throws BonafideError `failed_precondition` naming the file, when it cannot be read, is too large, or `parse` throws. */
export async function loadFile<T>(
  path: string,
  parse: (bytes: Buffer) => T,
  largestBytes?: number,
): Promise<T> {
  try {
    if (largestBytes !== undefined && (await stat(path)).size > largestBytes)
      throw invalidArgument(`it is larger than ${largestBytes} bytes`);
    return parse(await readFile(path));
  } catch (cause) {
    throw new BonafideError('failed_precondition', `cannot use ${path}: ${errorMessage(cause)}`, { cause });
  }
}

/** Of UTF-8 text. @throws BonafideError as `loadFile`. */
export function loadTextFile<T>(path: string, parse: (text: string) => T): Promise<T> {
  return loadFile(path, (bytes) => parse(bytes.toString('utf8')));
}
