/** Verifies WIT-SVIDs (WIT-SVID sections 2 to 4). What passes is worth nothing without a proof of possession of its key (section 7.1). */
import type { KeyObject } from 'node:crypto';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { isJwsAlgorithm, isKeyFor, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { jwkToSpki } from '../crypto/json-web-key.js';
import { importSubjectPublicKeySync, parseSubjectPublicKey } from '../crypto/subject-public-key.js';
import { invalidArgument } from '../errors/bonafide-error.js';
import { trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import { parseCompactJws, type CompactJws } from './compact-jws.js';
import {
  quote,
  readAlgorithm,
  readKeyId,
  readSubject,
  readTimes,
  refuseCriticalExtensions,
  type TokenTimes,
} from './token-claims.js';
import { isJsonObject, type JsonObject } from './unique-json.js';
import { DEFAULT_LEEWAY_SECONDS } from './verify-jwt-svid.js';
import { verifyToken } from './verify-signature.js';

export const WIT_SVID_TYPE = 'wit+jwt';

/** Other ways to name the key, of which there may be one in all (RFC 7800 section 3.1). */
const OTHER_CONFIRMATIONS = ['jwe', 'jku'];
/** Members that only a private or a symmetric key has (RFC 7518 section 6). */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

export interface WitSvidVerification {
  readonly token: string;
  /** Undefined for a trust domain that is not trusted. */
  readonly bundle: (
    trustDomain: TrustDomain,
  ) => Pick<TrustBundle, 'trustDomain' | 'witAuthorities'> | undefined;
  readonly now: Date;
  readonly leewaySeconds?: number | undefined;
}

export interface VerifiedWitSvid {
  readonly spiffeId: SpiffeId;
  readonly issuedAt: Date | undefined;
  readonly expiresAt: Date;
  /** Of the authority that signed it. */
  readonly keyId: string;
  /** `cnf.jwk`: whoever presents the token must prove to have the private half. */
  readonly confirmationKey: KeyObject;
  /** `cnf.jwk.alg`: what the proof is signed with. */
  readonly confirmationAlgorithm: JwsAlgorithm;
  /** All of them, the ones above included. */
  readonly claims: JsonObject;
}

/** @throws BonafideError `invalid_argument` for what is no WIT-SVID; `unauthenticated` for one that is not to be believed. */
export async function verifyWitSvid(verification: WitSvidVerification): Promise<VerifiedWitSvid> {
  const { token, bundle, now, leewaySeconds = DEFAULT_LEEWAY_SECONDS } = verification;
  const { jws, algorithm, times, ...content } = readToken(token);
  const { spiffeId, keyId } = content;
  const authorities = bundle(trustDomainOf(spiffeId))?.witAuthorities;
  await verifyToken({ jws, algorithm, keyId, spiffeId, times, authorities, now, leewaySeconds });
  return content;
}

/** What a token says that is taken from a trusted hand; neither its signature nor its times are checked. @throws BonafideError `invalid_argument`. */
export function parseWitSvid(token: string): VerifiedWitSvid {
  const { spiffeId, issuedAt, expiresAt, keyId, confirmationKey, confirmationAlgorithm, claims } =
    readToken(token);
  return { spiffeId, issuedAt, expiresAt, keyId, confirmationKey, confirmationAlgorithm, claims };
}

interface ReadToken extends VerifiedWitSvid {
  readonly jws: CompactJws;
  readonly algorithm: JwsAlgorithm;
  readonly times: TokenTimes;
}

function readToken(token: string): ReadToken {
  const jws = parseCompactJws(token);
  const { header, payload: claims } = jws;
  const algorithm = readAlgorithm(header);
  refuseCriticalExtensions(header);
  if (header['typ'] !== WIT_SVID_TYPE) {
    throw invalidArgument(`the token's type ${quote(header['typ'])} is not ${WIT_SVID_TYPE}`);
  }
  const keyId = readKeyId(header);
  if (keyId === undefined) throw invalidArgument('the token has no key ID');
  if (Object.hasOwn(claims, 'aud')) throw invalidArgument('the token has an audience; a WIT-SVID has none');
  const spiffeId = readSubject(claims);
  const confirmation = readConfirmation(claims);
  const times = readTimes(claims);
  const { issuedAt, expiresAt } = times;
  return { jws, algorithm, times, spiffeId, issuedAt, expiresAt, keyId, claims, ...confirmation };
}

/** Section 3.2 with RFC 7800 section 3.2. */
function readConfirmation({
  cnf,
}: JsonObject): Pick<VerifiedWitSvid, 'confirmationAlgorithm' | 'confirmationKey'> {
  const jwk = isJsonObject(cnf) ? cnf['jwk'] : undefined;
  if (!isJsonObject(cnf) || !isJsonObject(jwk))
    throw invalidArgument('the token confirms no key ("cnf" with "jwk")');
  if (OTHER_CONFIRMATIONS.some((member) => Object.hasOwn(cnf, member))) {
    throw invalidArgument('the token confirms more than one key');
  }
  const { alg } = jwk;
  if (!isJwsAlgorithm(alg)) {
    throw invalidArgument(`the algorithm ${quote(alg)} of the confirmed key is not one that it may have`);
  }
  if (SECRET_MEMBERS.some((member) => Object.hasOwn(jwk, member))) {
    throw invalidArgument('the token gives its private key away');
  }
  const spki = jwkToSpki(jwk);
  const key =
    spki === undefined
      ? undefined
      : importSubjectPublicKeySync(parseSubjectPublicKey(spki, 'the confirmed key'));
  if (key === undefined || !isKeyFor(alg, key)) {
    throw invalidArgument(`the confirmed key is not one for ${alg}`);
  }
  return { confirmationKey: key, confirmationAlgorithm: alg };
}
