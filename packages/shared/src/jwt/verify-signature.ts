/** Looks for the authority of a bundle that signed a token. */
import type { KeyObject } from 'node:crypto';
import type { TokenAuthority } from '../bundle/trust-bundle.js';
import { isKeyFor, verifyJws, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { importSpki } from '../crypto/private-key-encoding.js';
import { BonafideError } from '../errors/bonafide-error.js';
import type { CompactJws } from './compact-jws.js';

/** Reading a key costs as much as half a verification. */
const keys = new WeakMap<TokenAuthority, KeyObject>();

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
  const candidates = authorities.filter(
    (authority) =>
      (keyId === undefined || authority.keyId === keyId) && isKeyFor(algorithm, keyOf(authority)),
  );
  for (const authority of candidates) {
    if (await verifyJws({ algorithm, publicKey: keyOf(authority), data, signature })) return authority;
  }
  const message =
    candidates.length > 0
      ? 'the signature of the token is wrong'
      : keyId === undefined
        ? `the bundle of its trust domain has no ${algorithm} key for the token`
        : `the bundle of its trust domain has no ${algorithm} key ${JSON.stringify(keyId.slice(0, 100))}`;
  throw new BonafideError('unauthenticated', message);
}

function keyOf(authority: TokenAuthority): KeyObject {
  let key = keys.get(authority);
  if (key === undefined) {
    key = importSpki(authority.publicKey);
    keys.set(authority, key);
  }
  return key;
}
