/** A live source of JWT-SVIDs and of the keys that verify those of others (SPIFFE Workload API section 6). */
import { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { parseSpiffeId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import { JwtSvidCache } from './jwt-svid-cache.js';
import type { SourceEvents } from './source-events.js';
import { SourceWatch, type SourceOptions } from './source-watch.js';
import { verifyJwtSvid, type JwtTrust, type JwtVerifyOptions } from './verify-jwt-svid.js';
import type { JwtBundles } from './workload-api/token-bundle.js';
import { pickByHint } from './workload-api/unique-hints.js';

/** Which identity a `JwtSource` takes, beside what every source can be told. */
export interface JwtSourceOptions extends SourceOptions {
  /** Of several identities the one with this hint; without a hint it is the first, the default identity. */
  readonly hint?: string | undefined;
  /** How long the Workload API may take for a token before one that is still valid is used again; 10 seconds unless told. */
  readonly fetchTimeoutMs?: number | undefined;
}

const DEFAULT_FETCH_TIMEOUT_MS = 10_000;

/** Whose token `JwtSource.fetch` gives. */
export interface JwtFetchOptions {
  /** Which identity's; undefined: that of the source's hint, or the default one. */
  readonly spiffeId?: string | undefined;
}

/**
 * An open source keeps the process alive.
 * @example
 * const source = await JwtSource.create();
 * const { token } = await source.fetch('spiffe://example.org/billing');
 * const { spiffeId } = await source.verify(tokenOfSomebody, 'spiffe://example.org/web');
 * await source.close();
 */
export class JwtSource extends EventEmitter<SourceEvents> implements JwtTrust, AsyncDisposable {
  readonly #watch: SourceWatch;
  readonly #tokens: JwtSvidCache;
  readonly #pick: (svids: readonly JwtSvid[]) => JwtSvid | undefined;
  readonly #fetchTimeoutMs: number;
  #bundles: JwtBundles = new Map();
  #isOver = false;

  private constructor(options: JwtSourceOptions) {
    super();
    this.#watch = new SourceWatch(this, options);
    this.#tokens = new JwtSvidCache(this.#watch.clock);
    this.#pick = pickByHint(options.hint);
    this.#fetchTimeoutMs = options.fetchTimeoutMs ?? DEFAULT_FETCH_TIMEOUT_MS;
    const { client } = this.#watch;
    this.#watch
      .follow<JwtBundles>({
        watch: (watcher, signal) => client.watchJwtBundles(watcher, signal),
        accept: (bundles) => {
          this.#bundles = bundles;
          this.#tokens.dropIf((svid) => isOfUnknownKey(svid, bundles));
        },
        deny: () => {
          this.#drop();
        },
      })
      .start(() => {
        this.#isOver = true;
        this.#drop();
      });
  }

  /**
   * Resolves once the first bundles are there; waits while the Workload API is not reachable or grants nothing yet.
   * @throws BonafideError as `X509Source.create`.
   */
  static async create(options: JwtSourceOptions = {}): Promise<JwtSource> {
    const source = new JwtSource(options);
    const isReady = (): boolean => source.#bundles.size > 0;
    await source.#watch.waitUntilReady({ what: 'JWT bundle', isReady });
    return source;
  }

  /** By trust domain: our own and those we federate with; empty while nothing is granted. */
  get bundles(): JwtBundles {
    return this.#bundles;
  }

  /**
   * A JWT-SVID for `audience`, kept until half of its life is over and while the Workload API is away as long as it is valid.
   * It is a bearer token: who receives it can use it, so name one audience, and send it by TLS.
   * @throws BonafideError `permission_denied` when nothing is granted; `unavailable` without a valid token to fall back on;
   * `failed_precondition` once closed.
   */
  async fetch(audience: string | readonly string[], options: JwtFetchOptions = {}): Promise<JwtSvid> {
    this.#checkOpen();
    const { spiffeId } = options;
    const audiences = typeof audience === 'string' ? [audience] : [...audience].sort();
    const key = JSON.stringify([spiffeId ?? '', ...audiences]);
    return this.#tokens.get(key, async () => {
      const svids = await this.#watch.client.fetchJwtSvids(audiences, {
        spiffeId,
        timeoutMs: this.#fetchTimeoutMs,
      });
      const svid = spiffeId === undefined ? this.#pick(svids) : findIdentity(svids, spiffeId);
      if (svid === undefined) {
        throw new BonafideError(
          'permission_denied',
          'none of the identities of this process is the one to pick',
        );
      }
      return svid;
    });
  }

  /**
   * Verifies a token by the bundles that are held, without a call (JWT-SVID section 4).
   * @param audience as which this process is addressed; it must be among the token's.
   * @throws BonafideError `invalid_argument` for what is no JWT-SVID; `unauthenticated` for one that is not to be believed;
   * `failed_precondition` once closed.
   */
  async verify(token: string, audience: string, options: JwtVerifyOptions = {}): Promise<VerifiedJwtSvid> {
    this.#checkOpen();
    return verifyJwtSvid(this, token, audience, { clock: this.#watch.clock, ...options });
  }

  /** Ends the watch and drops tokens and bundles. */
  async close(): Promise<void> {
    await this.#watch.close();
  }

  /** As `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#isOver) throw new BonafideError('failed_precondition', 'the JWT source is closed');
  }

  #drop(): void {
    this.#bundles = new Map();
    this.#tokens.dropIf(() => true);
  }
}

function findIdentity(svids: readonly JwtSvid[], spiffeId: string): JwtSvid | undefined {
  const wanted = parseSpiffeId(spiffeId);
  return svids.find((svid) => svid.spiffeId === wanted);
}

/** An authority that left the bundle was revoked, and nobody believes its tokens any more. */
function isOfUnknownKey({ spiffeId, keyId }: JwtSvid, bundles: JwtBundles): boolean {
  const bundle = bundles.get(trustDomainOf(spiffeId));
  return keyId !== '' && bundle?.jwtAuthorities.some((authority) => authority.keyId === keyId) !== true;
}
