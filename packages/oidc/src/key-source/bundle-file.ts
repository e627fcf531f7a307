/** The keys in a bundle document (SPIFFE Trust Domain and Bundle section 4) that somebody else keeps up to date. */
import { readFile, stat } from 'node:fs/promises';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseUniqueJsonObject } from '@bonafide/shared/jwt/unique-json';
import type { FetchedKeys } from '../documents/published-keys.js';

const LARGEST_FILE_BYTES = 4 * 1024 * 1024;

/** @throws BonafideError naming the file. */
export async function readKeysFromFile(path: string): Promise<FetchedKeys> {
  try {
    const { size } = await stat(path);
    if (size > LARGEST_FILE_BYTES) throw invalidArgument(`it is larger than ${LARGEST_FILE_BYTES} bytes`);
    const bytes = await readFile(path);
    const hint = parseUniqueJsonObject(bytes, 'bundle document')['spiffe_refresh_hint'];
    const refreshHintSeconds = typeof hint === 'number' && hint > 0 ? hint : undefined;
    return { keys: readJwkSet(bytes, 'jwt-svid'), refreshHintSeconds };
  } catch (error) {
    throw new BonafideError('unavailable', `cannot read the bundle ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
