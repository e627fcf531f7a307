/** Hashes of tokens, by which a proof is bound to what it accompanies (draft-ietf-wimse-wpt-01 section 2, RFC 9449 section 4.1). */
import { createHash } from 'node:crypto';

/** SHA-256 of the token's ASCII, base64url. */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token, 'ascii').digest('base64url');
}
