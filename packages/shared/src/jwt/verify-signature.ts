/** Whether a token may be believed: signed by an authority of its trust domain's bundle, and shown in its time. */
import type { KeyObject } from 'node:crypto';
import type { TokenAuthority } from '../bundle/trust-bundle.js';
import { isKeyFor, verifyJws, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { importSubjectPublicKeySync, parseSubjectPublicKey } from '../crypto/subject-public-key.js';
import { BonafideError } from '../errors/bonafide-error.js';
import { trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { CompactJws } from './compact-jws.js';
import { checkAuthorityTime, checkTimes, type TokenTimes } from './token-claims.js';

/** A token that is well formed, and what it is held against. */
interface TokenInQuestion {
  readonly jws: CompactJws;
  readonly algorithm: JwsAlgorithm;
  /** Undefined when the token names none. */
  readonly keyId: string | undefined;
  readonly spiffeId: SpiffeId;
  readonly times: TokenTimes;
  /** Of its trust domain and its kind; undefined when no bundle is held. */
  readonly authorities: readonly TokenAuthority[] | undefined;
  readonly now: Date;
  readonly leewaySeconds: number;
}

/** @returns the authority that signed. @throws BonafideError `unauthenticated`. */
export async function verifyToken(token: TokenInQuestion): Promise<TokenAuthority> {
  const { jws, algorithm, keyId, spiffeId, times, authorities, now, leewaySeconds } = token;
  if (authorities === undefined) {
    const message = `no bundle is held for the trust domain ${trustDomainOf(spiffeId)}`;
    throw new BonafideError('unauthenticated', message);
  }
  const authority = await findSigningAuthority(jws, algorithm, keyId, authorities);
  checkAuthorityTime(authority, now, leewaySeconds);
  checkTimes(times, now, leewaySeconds);
  return authority;
}

/** Reading a key costs as much as half a verification. Undefined: it cannot be read, or is too weak. */
const keys = new WeakMap<TokenAuthority, KeyObject | undefined>();
/** Signatures are dear; a token that names no key must not buy one for each key of a large bundle. */
const MAX_CANDIDATES = 32;

/**
 * @param keyId undefined: every authority whose key fits the algorithm is tried.
 * @returns the authority that signed.
 * @throws BonafideError `unauthenticated` saying whether the key is unknown or the signature wrong.
 */
async function findSigningAuthority(
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
