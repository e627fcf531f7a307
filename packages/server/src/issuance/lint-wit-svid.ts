/** The last look before a WIT-SVID is signed: every MUST of WIT-SVID sections 2 and 3, and nothing that was not asked for. */
import { isJwsAlgorithm } from '@bonafide/shared/crypto/jws-algorithm';
import { jwkToSpki } from '@bonafide/shared/crypto/json-web-key';
import { isJsonObject, type JsonObject } from '@bonafide/shared/jwt/unique-json';
import { WIT_SVID_TYPE } from '@bonafide/shared/jwt/verify-wit-svid';
import {
  hasExactly,
  isTokenId,
  lintHeader,
  lintSubjectAndTimes,
  requireOf,
  type TokenExpectation,
} from './lint-token.js';

export interface WitSvidExpectation extends TokenExpectation {
  readonly tokenId: string;
  /** SubjectPublicKeyInfo, DER, as the request had it. */
  readonly publicKey: Buffer;
  readonly signingAlgorithm: string;
}

/** @throws BonafideError `internal`. */
export function lintWitSvid(header: JsonObject, claims: JsonObject, expected: WitSvidExpectation): void {
  const require = requireOf('WIT-SVID');
  const { tokenId, publicKey, signingAlgorithm, authority } = expected;
  lintHeader(header, WIT_SVID_TYPE, authority, require);
  // Section 3.8: no audience; section 3.7: an issuer could make it pass for an ID token.
  require(hasExactly(claims, ['cnf', 'exp', 'iat', 'jti', 'sub']), 'it has other claims than it should');
  lintSubjectAndTimes(claims, expected, require);
  require(claims['jti'] === tokenId && isTokenId(tokenId), 'the token ID is not the one that was made');

  const { cnf } = claims;
  const jwk = isJsonObject(cnf) && hasExactly(cnf, ['jwk']) ? cnf['jwk'] : undefined;
  if (!isJsonObject(jwk)) {
    require(false, 'it confirms no key');
    return;
  }
  const members = jwk['kty'] === 'RSA' ? ['alg', 'e', 'kty', 'n'] : ['alg', 'crv', 'kty', 'x', 'y'];
  require(hasExactly(jwk, members), 'the key has other members than it should');
  require(isJwsAlgorithm(jwk['alg']) &&
    jwk['alg'] === signingAlgorithm, 'the algorithm of the key is not that of the request');
  require(jwkToSpki(jwk)?.equals(publicKey) === true, 'the key is not that of the request');
}
