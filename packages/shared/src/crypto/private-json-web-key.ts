/** Private keys as JSON Web Keys (RFC 7517, RFC 7518 section 6): how the Workload API hands out the key of a WIT-SVID. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { parseUniqueJsonObject, type JsonObject } from '../jwt/unique-json.js';
import type { JwsAlgorithm } from './jws-algorithm.js';

/** @param algorithm named in the key, so that whoever reads it need not guess. */
export function formatPrivateJwk(privateKey: KeyObject, algorithm: JwsAlgorithm): string {
  return JSON.stringify({ ...privateKey.export({ format: 'jwk' }), alg: algorithm });
}

/** @throws BonafideError `invalid_argument` for what is not an EC or RSA private key. The message never quotes the key. */
export function parsePrivateJwk(text: string): KeyObject {
  const jwk = parseWithoutQuoting(text);
  const key = pickText(jwk, MEMBERS);
  if (key['kty'] !== 'EC' && key['kty'] !== 'RSA')
    throw invalidArgument('the private key is neither EC nor RSA');
  if (key['d'] === undefined) throw invalidArgument('the private key has no private part');
  try {
    return createPrivateKey({ key, format: 'jwk' });
  } catch {
    // The cause might quote the key.
    throw invalidArgument('the numbers of the private key are malformed');
  }
}

/** What goes wrong in JSON is told with the text around it, which may be the key. */
function parseWithoutQuoting(text: string): JsonObject {
  try {
    return parseUniqueJsonObject(Buffer.from(text, 'utf8'), 'private key');
  } catch {
    throw invalidArgument('the private key is not a JSON object with each member once');
  }
}

const MEMBERS = ['kty', 'crv', 'x', 'y', 'd', 'n', 'e', 'p', 'q', 'dp', 'dq', 'qi'];

function pickText(jwk: JsonObject, members: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    members.flatMap((member) => {
      const value = jwk[member];
      return typeof value === 'string' ? [[member, value]] : [];
    }),
  );
}
