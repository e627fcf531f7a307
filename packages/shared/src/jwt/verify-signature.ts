/** Looks for the authority of a bundle that signed a token. */
import type { KeyObject } from 'node:crypto';
import type { TokenAuthority } from '../bundle/trust-bundle.js';
import { isKeyFor, verifyJws, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { importSubjectPublicKeySync, parseSubjectPublicKey } from '../crypto/subject-public-key.js';
import { BonafideError } from '../errors/bonafide-error.js';
import type { CompactJws } from './compact-jws.js';

/** Reading a key costs as much as half a verification. Undefined: it cannot be read, or is too weak. */
const keys = new WeakMap<TokenAuthority, KeyObject | undefined>();
/** Signatures are dear; a token that names no key must not buy one for each key of a large bundle. */
const MAX_CANDIDATES = 32;

/**
 * @param keyId undefined: every authority whose key fits the algorithm is tried.
 * @returns the authority that signed.
 * @throws BonafideError `unauthenticated` saying whether the key is unknown or the signature wrong.
 */
export async function findSigningAuthority(
  { signingInput: data, signature }: CompactJws,
  algorithm: JwsAlgorithm,
  keyId: string | undefined,
  authorities: readonly TokenAuthority[],
): Promise<TokenAuthority> {
  const candidates = authorities.flatMap((authority) => {
    if (keyId !== undefined && authority.keyId !== keyId) return [];
    const publicKey = keyOf(authority);
    return publicKey !== undefined && isKeyFor(algorithm, publicKey) ? [{ authority, publicKey }] : [];
  });
  if (candidates.length > MAX_CANDIDATES) {
    const message = `the token must name its key: the bundle has more than ${MAX_CANDIDATES} for ${algorithm}`;
    throw new BonafideError('unauthenticated', message);
  }
  for (const { authority, publicKey } of candidates) {
    if (await verifyJws({ algorithm, publicKey, data, signature })) return authority;
  }
  const message =
    candidates.length > 0
      ? 'the signature of the token is wrong'
      : keyId === undefined
        ? `the bundle of its trust domain has no ${algorithm} key for the token`
        : `the bundle of its trust domain has no ${algorithm} key ${JSON.stringify(keyId.slice(0, 100))}`;
  throw new BonafideError('unauthenticated', message);
}

/** A key of a bundle that cannot be used vouches for no token, and must not keep the others from doing so. */
function keyOf(authority: TokenAuthority): KeyObject | undefined {
  if (!keys.has(authority)) keys.set(authority, readKey(authority.publicKey));
  return keys.get(authority);
}

function readKey(spki: Buffer): KeyObject | undefined {
  try {
    return importSubjectPublicKeySync(parseSubjectPublicKey(spki, 'bundle'));
  } catch (error) {
    if (error instanceof BonafideError) return undefined;
    throw error;
  }
}
