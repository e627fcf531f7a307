/** An authority for tests that signs JWT-SVIDs and WIT-SVIDs, valid ones and every kind of invalid one. */
import { createPublicKey, randomUUID, type KeyObject } from 'node:crypto';
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { signJwsAs, type JwsAlgorithm } from '@bonafide/shared/crypto/jws-algorithm';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { addSeconds, systemClock, unixSeconds } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { makeKeyPair } from './make-key-pair.js';

interface TokenOptions {
  /** The real time unless told. */
  readonly now?: Date;
  /** 300 unless told. */
  readonly ttlSeconds?: number;
  readonly hint?: string;
  /** Put over what would be there. */
  readonly header?: JsonObject;
  readonly claims?: JsonObject;
}

interface WitOptions extends TokenOptions {
  /** Of the workload's key; ES256 unless told. */
  readonly algorithm?: JwsAlgorithm;
}

/** @example const authority = TestTokenAuthority.create('example.org'); await authority.issueWitSvid('/web'); */
export class TestTokenAuthority {
  readonly trustDomain: TrustDomain;
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly algorithm: JwsAlgorithm;

  private constructor(trustDomain: string, algorithm: JwsAlgorithm) {
    this.trustDomain = parseTrustDomain(trustDomain);
    this.keyId = randomUUID();
    this.algorithm = algorithm;
    this.privateKey = generateKeyFor(algorithm);
  }

  static create(trustDomain: string, algorithm: JwsAlgorithm = 'ES256'): TestTokenAuthority {
    return new TestTokenAuthority(trustDomain, algorithm);
  }

  /** As bundles hold it. */
  get authority(): TokenAuthority {
    return {
      publicKey: exportSpki(this.privateKey),
      keyId: this.keyId,
      expiresAt: undefined,
      isTainted: false,
    };
  }

  async issueJwtSvid(
    path: string,
    audience: readonly string[],
    options: TokenOptions = {},
  ): Promise<JwtSvid> {
    const { spiffeId, issuedAt, expiresAt, times } = this.#subject(path, options);
    const claims = { sub: spiffeId, aud: audience, ...times, ...options.claims };
    const token = await this.#sign({ typ: 'JWT', ...options.header }, claims);
    const { keyId } = this;
    return { spiffeId, token, audience, issuedAt, expiresAt, keyId, hint: options.hint };
  }

  async issueWitSvid(path: string, options: WitOptions = {}): Promise<WitSvid> {
    const { algorithm = 'ES256' } = options;
    const { spiffeId, issuedAt, expiresAt, times } = this.#subject(path, options);
    const privateKey = generateKeyFor(algorithm);
    const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), alg: algorithm };
    const claims = { sub: spiffeId, cnf: { jwk }, ...times, ...options.claims };
    const token = await this.#sign({ typ: 'wit+jwt', ...options.header }, claims);
    return { spiffeId, token, privateKey, issuedAt, expiresAt, keyId: this.keyId, hint: options.hint };
  }

  #sign(header: JsonObject, claims: JsonObject): Promise<string> {
    return encodeCompactJws({ alg: this.algorithm, kid: this.keyId, ...header }, claims, (data) =>
      signJwsAs(this.algorithm, this.privateKey, data),
    );
  }

  #subject(path: string, { now = systemClock.now(), ttlSeconds = 300 }: TokenOptions): Subject {
    const expiresAt = addSeconds(now, ttlSeconds);
    return {
      spiffeId: parseSpiffeId(`spiffe://${this.trustDomain}${path}`),
      issuedAt: now,
      expiresAt,
      times: { iat: unixSeconds(now), exp: unixSeconds(expiresAt) },
    };
  }
}

interface Subject {
  readonly spiffeId: SpiffeId;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  readonly times: JsonObject;
}

function generateKeyFor(algorithm: JwsAlgorithm): KeyObject {
  if (algorithm === 'ES256') return makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey;
  if (algorithm === 'ES384') return makeKeyPair('ec', { namedCurve: 'P-384' }).privateKey;
  if (algorithm === 'ES512') return makeKeyPair('ec', { namedCurve: 'P-521' }).privateKey;
  return makeKeyPair('rsa', { modulusLength: 2048 }).privateKey;
}
