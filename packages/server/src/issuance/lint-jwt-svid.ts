/** The last look before a JWT-SVID is signed: every MUST of JWT-SVID sections 2 and 3, and nothing that was not asked for. */
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import {
  hasExactly,
  isTokenId,
  lintHeader,
  lintSubjectAndTimes,
  requireOf,
  type TokenExpectation,
} from './lint-token.js';

export interface JwtSvidExpectation extends TokenExpectation {
  readonly audience: readonly string[];
  readonly issuer: string | undefined;
  readonly tokenId: string | undefined;
}

/** @throws BonafideError `internal`. */
export function lintJwtSvid(header: JsonObject, claims: JsonObject, expected: JwtSvidExpectation): void {
  const require = requireOf('JWT-SVID');
  const { audience, issuer, tokenId, authority } = expected;
  lintHeader(header, 'JWT', authority, require);
  const names = [
    ...['aud', 'exp', 'iat'],
    ...(issuer === undefined ? [] : ['iss']),
    ...(tokenId === undefined ? [] : ['jti']),
    'sub',
  ];
  require(hasExactly(claims, names), 'it has other claims than it should');
  lintSubjectAndTimes(claims, expected, require);
  require(audience.length > 0 && !audience.includes(''), 'it has no audience, or an empty one');
  require(isSameList(claims['aud'], audience), 'the audience is not that of the request');
  require(claims['iss'] === issuer, 'the issuer is not the configured one');
  require(claims['jti'] === tokenId, 'the token ID is not the one that was made');
  require(tokenId === undefined || isTokenId(tokenId), 'the token ID is not random');
}

function isSameList(value: unknown, list: readonly string[]): boolean {
  return (
    Array.isArray(value) && value.length === list.length && list.every((item, index) => item === value[index])
  );
}
