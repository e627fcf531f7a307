/** Content-Digest (RFC 9530 sections 2 and 5): what binds a body to the signature of its message. */
import { createHash } from 'node:crypto';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseDictionary, serializeDictionary } from './structured-field.js';

export const DIGEST_HEADER = 'content-digest';

const HASHES: Readonly<Record<string, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' };

/** By SHA-256. */
export function contentDigest(body: Uint8Array): string {
  const value = createHash('sha256').update(body).digest();
  return serializeDictionary(new Map([['sha-256', { value, parameters: new Map() }]]));
}

/**
 * Every digest of an algorithm that is known must be right, and there must be one.
 * @throws BonafideError `invalid_argument` for a malformed field; `unauthenticated` for another body.
 */
export function checkContentDigest(field: string, body: Uint8Array): void {
  const digests = [...parseDictionary(field, 'Content-Digest')].filter(([name]) =>
    Object.hasOwn(HASHES, name),
  );
  if (digests.length === 0) throw invalidArgument('Content-Digest has neither sha-256 nor sha-512');
  for (const [name, member] of digests) {
    const value = 'value' in member ? member.value : undefined;
    const expected = createHash(HASHES[name] ?? 'sha256')
      .update(body)
      .digest();
    if (!Buffer.isBuffer(value) || !value.equals(expected)) {
      throw new BonafideError('unauthenticated', `the body is not the one of Content-Digest's ${name}`);
    }
  }
}
