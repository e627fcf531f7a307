/** Issues JWT-SVIDs (JWT-SVID sections 2 to 4): claims as SPIRE writes them, linted, signed on the thread pool. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { inSpan } from '@bonafide/shared/telemetry/tracer';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { TokenSigningAuthorities } from '../authority/token-signing-authority.js';
import type { IssuedJwtSvid, JwtSvidIssuer, JwtSvidRequest } from './jwt-svid-request.js';
import { lintJwtSvid } from './lint-jwt-svid.js';
import { SigningWindow } from './signing-window.js';
import { createTokenId, signToken, tokenTimes } from './sign-token.js';
import { checkTokenSubject } from './token-subject.js';

/** Section 3.2 recommends one; verifiers stop at this many. */
const MAX_AUDIENCES = 100;
const MAX_AUDIENCE_CHARACTERS = 2048;
/** As JSON, together: a token that is longer fits into no HTTP header. */
const MAX_AUDIENCES_BYTES = 8192;

export interface JwtSvidIssuanceOptions {
  readonly trustDomain: TrustDomain;
  readonly authorities: Pick<TokenSigningAuthorities, 'activeJwt'>;
  readonly clock: Clock;
  /** The `iss` claim; none when undefined. */
  readonly issuer: string | undefined;
  readonly window?: SigningWindow;
}

export class JwtSvidIssuance implements JwtSvidIssuer {
  readonly #trustDomain: TrustDomain;
  readonly #authorities: Pick<TokenSigningAuthorities, 'activeJwt'>;
  readonly #clock: Clock;
  readonly #issuer: string | undefined;
  readonly #window: SigningWindow;

  constructor({
    trustDomain,
    authorities,
    clock,
    issuer,
    window = new SigningWindow(),
  }: JwtSvidIssuanceOptions) {
    this.#trustDomain = trustDomain;
    this.#authorities = authorities;
    this.#clock = clock;
    this.#issuer = issuer;
    this.#window = window;
  }

  issue(request: JwtSvidRequest): Promise<IssuedJwtSvid> {
    return inSpan('issuance.sign', {}, () => this.#window.run(() => this.#issue(request)));
  }

  async #issue({ spiffeId, audience, ttlSeconds, includesTokenId }: JwtSvidRequest): Promise<IssuedJwtSvid> {
    checkTokenSubject(this.#trustDomain, spiffeId, 'a JWT-SVID');
    checkAudience(audience);
    const issuer = this.#issuer;
    const authority = this.#authorities.activeJwt();
    const { issuedAt, expiresAt } = tokenTimes(authority, ttlSeconds, this.#clock.now());
    const tokenId = includesTokenId ? createTokenId() : undefined;
    const expected = { spiffeId, audience, issuer, tokenId, issuedAt, expiresAt, authority };
    const token = await signToken({
      authority,
      type: 'JWT',
      claims: claimsOf(expected),
      lint: (header, claims) => {
        lintJwtSvid(header, claims, expected);
      },
    });
    return { spiffeId, token, tokenId, issuedAt, expiresAt };
  }
}

interface Content {
  readonly spiffeId: SpiffeId;
  readonly audience: readonly string[];
  readonly issuer: string | undefined;
  readonly tokenId: string | undefined;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** As in SPIRE, `aud` is an array even of one. */
function claimsOf({ spiffeId, audience, issuer, tokenId, issuedAt, expiresAt }: Content): JsonObject {
  return {
    aud: audience,
    exp: unixSeconds(expiresAt),
    iat: unixSeconds(issuedAt),
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(tokenId === undefined ? {} : { jti: tokenId }),
    sub: spiffeId,
  };
}

/** Section 3.2. */
function checkAudience(audience: readonly string[]): void {
  if (audience.length === 0) throw invalidArgument('at least one audience is required');
  if (audience.length > MAX_AUDIENCES) {
    throw invalidArgument(`${audience.length} audiences are too many; at most ${MAX_AUDIENCES} are accepted`);
  }
  for (const name of audience) {
    if (name === '') throw invalidArgument('an audience is empty; leave it out or name it');
    if (name.length > MAX_AUDIENCE_CHARACTERS) {
      throw invalidArgument(`an audience is longer than ${MAX_AUDIENCE_CHARACTERS} characters`);
    }
  }
  if (Buffer.byteLength(JSON.stringify(audience)) > MAX_AUDIENCES_BYTES) {
    throw invalidArgument(`the audiences together are longer than ${MAX_AUDIENCES_BYTES} bytes`);
  }
}
