/** For tests of this room: a server that signs real tokens, late, wrongly or not at all as the test wants, and counts what it is asked. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { spkiToJwk } from '@bonafide/shared/crypto/json-web-key';
import { jwsAlgorithmFor, signJws } from '@bonafide/shared/crypto/jws-algorithm';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner, type Signer } from '@bonafide/shared/crypto/signer';
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { sampleBundle } from '../svid-cache/cache-samples.js';
import type { JwtSvidRequest, JwtSvidSigner } from './jwt-svid-signer.js';
import type { WitSigningRequest, WitSigningResult } from './wit-svid-signer.js';

export class TokenServer implements JwtSvidSigner {
  readonly requests: JwtSvidRequest[] = [];
  readonly witBatches: (readonly string[])[] = [];
  lifetimeSeconds = 300;
  /** Thrown in place of an answer. */
  failure: BonafideError | undefined;
  /** Set over the right claims and the right header. */
  claims: JsonObject = {};
  header: JsonObject = {};
  /** Awaited before the answer. */
  beforeAnswer: () => Promise<unknown> = nextTurn;
  keyId = 'key-1';
  /** Of the entries, by id. */
  readonly #spiffeIdOf: (entryId: string) => string;
  readonly #clock: Clock;
  readonly #signer: Signer;

  private constructor(clock: Clock, signer: Signer, spiffeIdOf: (entryId: string) => string) {
    this.#clock = clock;
    this.#signer = signer;
    this.#spiffeIdOf = spiffeIdOf;
  }

  static async create(
    clock: Clock,
    spiffeIdOf = (entryId: string): string => `spiffe://example.org/${entryId}`,
  ): Promise<TokenServer> {
    return new TokenServer(clock, createKeySigner(await generatePrivateKey('ec-p256')), spiffeIdOf);
  }

  authority(more: Partial<TokenAuthority> = {}): TokenAuthority {
    const publicKey = exportSpki(this.#signer.publicKey);
    return { publicKey, keyId: this.keyId, expiresAt: undefined, isTainted: false, ...more };
  }

  /** The bundle that verifies its tokens. */
  bundle(trustDomain = 'example.org', ...authorities: readonly TokenAuthority[]): TrustBundle {
    const keys = authorities.length > 0 ? authorities : [this.authority()];
    return {
      ...sampleBundle(trustDomain),

      jwtAuthorities: keys,
      witAuthorities: keys,
    };
  }

  async sign(request: JwtSvidRequest): Promise<string> {
    this.requests.push(request);
    await this.beforeAnswer();
    if (this.failure !== undefined) throw this.failure;
    const { entryId, audience } = request;
    return this.token({ typ: 'JWT' }, { sub: this.#spiffeIdOf(entryId), aud: [...audience] });
  }

  async signWits(requests: readonly WitSigningRequest[]): Promise<readonly WitSigningResult[]> {
    this.witBatches.push(requests.map(({ entryId }) => entryId));
    await this.beforeAnswer();
    const { failure } = this;
    if (failure !== undefined) throw failure;
    return Promise.all(
      requests.map(async ({ entryId, publicKey, algorithm }): Promise<WitSigningResult> => {
        const cnf = { jwk: { ...spkiToJwk(publicKey), alg: algorithm } };
        const token = await this.token({ typ: 'wit+jwt' }, { sub: this.#spiffeIdOf(entryId), cnf });
        return { kind: 'signed', token };
      }),
    );
  }

  token(header: JsonObject, claims: JsonObject): Promise<string> {
    const now = unixSeconds(this.#clock.now());
    const times = { iat: now, exp: now + this.lifetimeSeconds };
    const alg = jwsAlgorithmFor(this.#signer.keyType);
    return encodeCompactJws(
      { alg, kid: this.keyId, ...header, ...this.header },
      { ...times, ...claims, ...this.claims },
      (input) => signJws(this.#signer, input),
    );
  }
}
