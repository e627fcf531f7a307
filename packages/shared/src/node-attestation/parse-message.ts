/** JSON messages between the halves of a node attestor: bounded, no name twice, checked against a schema. */
import type { z } from 'zod';
import { invalidArgument } from '../errors/bonafide-error.js';
import { parseUniqueJsonObject } from '../jwt/unique-json.js';

/** More than any token or nonce; documents of clouds have their own readers. */
const MOST_BYTES = 128 * 1024;

/**
 * @param what names the message in errors.
 * @throws BonafideError `invalid_argument`; the message never quotes what was sent, which may be a secret.
 */
export function parseWith<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  if (bytes.length > MOST_BYTES) throw invalidArgument(`the ${what} is longer than ${MOST_BYTES} bytes`);
  const result = schema.safeParse(parseUniqueJsonObject(bytes, what));
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw invalidArgument(`the ${what} is malformed: ${problems.slice(0, 5).join('; ')}`);
}
