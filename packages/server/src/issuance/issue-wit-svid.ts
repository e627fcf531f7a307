/** Issues WIT-SVIDs (WIT-SVID sections 2 to 4): the holder's key checked, bound by `cnf`, linted, signed on the thread pool. */
import { isJwsAlgorithm, isKeyFor, JWS_ALGORITHMS } from '@bonafide/shared/crypto/jws-algorithm';
import { keyToJwk, type PublicJwk } from '@bonafide/shared/crypto/json-web-key';
import { importSubjectPublicKey, parseSubjectPublicKey } from '@bonafide/shared/crypto/subject-public-key';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { WIT_SVID_TYPE } from '@bonafide/shared/jwt/verify-wit-svid';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { TokenSigningAuthorities } from '../authority/token-signing-authority.js';
import { lintWitSvid } from './lint-wit-svid.js';
import { SigningWindow } from './signing-window.js';
import { createTokenId, signToken, tokenTimes } from './sign-token.js';
import { checkTokenSubject } from './token-subject.js';
import type { IssuedWitSvid, WitSvidIssuer, WitSvidRequest } from './wit-svid-request.js';

/** An RSA key of 8192 bits has some 1,050. */
const MAX_PUBLIC_KEY_BYTES = 2048;

export interface WitSvidIssuanceOptions {
  readonly trustDomain: TrustDomain;
  readonly authorities: Pick<TokenSigningAuthorities, 'activeWit'>;
  readonly clock: Clock;
  readonly window?: SigningWindow;
}

export class WitSvidIssuance implements WitSvidIssuer {
  readonly #trustDomain: TrustDomain;
  readonly #authorities: Pick<TokenSigningAuthorities, 'activeWit'>;
  readonly #clock: Clock;
  readonly #window: SigningWindow;

  constructor({ trustDomain, authorities, clock, window = new SigningWindow() }: WitSvidIssuanceOptions) {
    this.#trustDomain = trustDomain;
    this.#authorities = authorities;
    this.#clock = clock;
    this.#window = window;
  }

  issue(request: WitSvidRequest): Promise<IssuedWitSvid> {
    return this.#window.run(() => this.#issue(request));
  }

  async #issue(request: WitSvidRequest): Promise<IssuedWitSvid> {
    const { spiffeId, publicKey, signingAlgorithm, ttlSeconds } = request;
    checkTokenSubject(this.#trustDomain, spiffeId, 'a WIT-SVID');
    const jwk = await readConfirmationKey(publicKey, signingAlgorithm);
    const authority = this.#authorities.activeWit();
    const { issuedAt, expiresAt } = tokenTimes(authority, ttlSeconds, this.#clock.now());
    const tokenId = createTokenId();
    const token = await signToken({
      authority,
      type: WIT_SVID_TYPE,
      claims: {
        cnf: { jwk: { alg: signingAlgorithm, ...jwk } },
        exp: unixSeconds(expiresAt),
        iat: unixSeconds(issuedAt),
        jti: tokenId,
        sub: spiffeId,
      },
      lint: (header, claims) => {
        const expected = { spiffeId, tokenId, publicKey, signingAlgorithm, issuedAt, expiresAt, authority };
        lintWitSvid(header, claims, expected);
      },
    });
    return { spiffeId, token, tokenId, issuedAt, expiresAt };
  }
}

/** Section 3.2: one of the nine algorithms, and a key that belongs to it. */
async function readConfirmationKey(publicKey: Buffer, algorithm: string): Promise<PublicJwk> {
  if (!isJwsAlgorithm(algorithm)) {
    const name = JSON.stringify(algorithm.slice(0, 100));
    throw invalidArgument(`unknown signing algorithm ${name}; accepted are ${JWS_ALGORITHMS.join(', ')}`);
  }
  if (publicKey.length > MAX_PUBLIC_KEY_BYTES) {
    throw invalidArgument(`the public key is longer than ${MAX_PUBLIC_KEY_BYTES} bytes`);
  }
  const key = await importSubjectPublicKey(parseSubjectPublicKey(publicKey, 'public key'));
  if (!isKeyFor(algorithm, key)) throw invalidArgument(`the public key is not one for ${algorithm}`);
  return keyToJwk(key);
}
