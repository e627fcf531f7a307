/** A live source of JWT-SVIDs and of the keys that verify those of others (SPIFFE Workload API section 6). */
import { EventEmitter } from 'node:events';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { verifyJwtSvid, type VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import { parseSpiffeId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import { JwtSvidCache } from './jwt-svid-cache.js';
import { announce, waitForFirst, type SourceEvents } from './source-events.js';
import type { JwtBundles } from './workload-api/token-bundle.js';
import { pickByHint } from './workload-api/unique-hints.js';
import { WorkloadApiClient, type WorkloadApiClientOptions } from './workload-api/workload-api-client.js';

export interface JwtSourceOptions extends WorkloadApiClientOptions {
  /** Shared with others and not closed with the source; undefined: the source makes its own of the other options. */
  readonly client?: WorkloadApiClient | undefined;
  /** Of several identities the one with this hint; without a hint it is the first, the default identity. */
  readonly hint?: string | undefined;
  /** Ends the waiting for the first bundles. */
  readonly signal?: AbortSignal | undefined;
  /** How long `create` waits for the first bundles; 30 seconds unless told. */
  readonly timeoutMs?: number | undefined;
  /** How long the Workload API may take for a token before one that is still valid is used again; 10 seconds unless told. */
  readonly fetchTimeoutMs?: number | undefined;
}

const DEFAULT_FETCH_TIMEOUT_MS = 10_000;

export interface JwtFetchOptions {
  /** Which identity's; undefined: that of the source's hint, or the default one. */
  readonly spiffeId?: string | undefined;
}

export interface JwtVerifyOptions {
  /** By how much clocks may be apart, in seconds; 60 unless told. */
  readonly leewaySeconds?: number | undefined;
}

/**
 * An open source keeps the process alive.
 * @example
 * const source = await JwtSource.create();
 * const { token } = await source.fetch('spiffe://example.org/billing');
 * const { spiffeId } = await source.verify(tokenOfSomebody, 'spiffe://example.org/web');
 * await source.close();
 */
export class JwtSource extends EventEmitter<SourceEvents> implements AsyncDisposable {
  readonly #client: WorkloadApiClient;
  readonly #clock: Clock;
  readonly #tokens: JwtSvidCache;
  readonly #pick: (svids: readonly JwtSvid[]) => JwtSvid | undefined;
  readonly #fetchTimeoutMs: number;
  readonly #end = new AbortController();
  readonly #ended: Promise<void>;
  #bundles: JwtBundles = new Map();
  #isOver = false;

  private constructor(client: WorkloadApiClient, options: JwtSourceOptions) {
    super();
    this.setMaxListeners(0);
    this.#client = client;
    this.#clock = options.clock ?? systemClock;
    this.#tokens = new JwtSvidCache(this.#clock);
    this.#pick = pickByHint(options.hint);
    this.#fetchTimeoutMs = options.fetchTimeoutMs ?? DEFAULT_FETCH_TIMEOUT_MS;
    const release = keepProcessAlive();
    this.#ended = this.#watch().finally(() => {
      if (options.client === undefined) client.close();
      release();
    });
  }

  /**
   * Resolves once the first bundles are there; waits while the Workload API is not reachable or grants nothing yet.
   * @throws BonafideError as `X509Source.create`.
   */
  static async create(options: JwtSourceOptions = {}): Promise<JwtSource> {
    const source = new JwtSource(options.client ?? new WorkloadApiClient(options), options);
    try {
      await waitForFirst(source, { ...options, clock: source.#clock, what: 'JWT bundle' });
    } catch (error) {
      await source.close();
      throw error;
    }
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
      const svids = await this.#client.fetchJwtSvids(audiences, {
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
  async verify(
    token: string,
    audience: string,
    { leewaySeconds }: JwtVerifyOptions = {},
  ): Promise<VerifiedJwtSvid> {
    this.#checkOpen();
    return verifyJwtSvid({
      token,
      audience,
      bundle: (trustDomain) => this.#bundles.get(trustDomain),
      now: this.#clock.now(),
      leewaySeconds,
    });
  }

  /** Ends the watch and drops tokens and bundles. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#isOver) throw new BonafideError('failed_precondition', 'the JWT source is closed');
  }

  async #watch(): Promise<void> {
    const watcher = {
      onUpdate: (bundles: JwtBundles) => {
        this.#bundles = bundles;
        this.#tokens.dropIf((svid) => isOfUnknownKey(svid, bundles));
        announce(() => this.emit('update'));
      },
      onError: (error: BonafideError) => {
        if (!hasReason(error, 'permission_denied')) {
          announce(() => this.emit('disconnect', error));
          return;
        }
        this.#drop();
        announce(() => this.emit('denied', error));
      },
    };
    let reason: BonafideError | undefined;
    try {
      await this.#client.watchJwtBundles(watcher, this.#end.signal);
    } catch (error) {
      reason = error instanceof BonafideError ? error : new BonafideError('internal', String(error));
    }
    this.#isOver = true;
    this.#drop();
    announce(() => this.emit('close', reason));
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
