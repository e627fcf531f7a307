/** A live source of trust bundles alone, for those who verify others: every profile's keys, of our trust domain and of federated ones. */
import { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SourceEvents } from './source-events.js';
import { SourceWatch, type SourceOptions, type SourceStream } from './source-watch.js';
import type { JwtTrust } from './verify-jwt-svid.js';
import type { JwtBundle, WitBundle } from './workload-api/token-bundle.js';
import type { X509Bundle } from './workload-api/x509-context.js';
import type { WitTrust } from './wit-source.js';
import type { X509Trust } from './x509-source.js';

/** The kinds of SVIDs that bundles verify. */
export type BundleProfile = 'x509' | 'jwt' | 'wit';

/** What a `BundleSource` follows, beside what every source can be told. */
export interface BundleSourceOptions extends SourceOptions {
  /** All that the Workload API offers unless told. One that is named here and not offered ends the source with `unimplemented`. */
  readonly profiles?: readonly BundleProfile[] | undefined;
}

/** Everything by which SVIDs of one trust domain are verified; a profile that is not followed or not offered has no authorities. */
export interface SpiffeBundle extends X509Bundle, JwtBundle, WitBundle {
  /** Whose SVIDs these authorities verify, and nobody else's. */
  readonly trustDomain: TrustDomain;
}

type Parts = ReadonlyMap<TrustDomain, Partial<Omit<SpiffeBundle, 'trustDomain'>>>;

/** What one profile's stream said last. */
type Heard =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'bundles'; readonly parts: Parts }
  | { readonly kind: 'not offered'; readonly error: BonafideError };

const ALL: readonly BundleProfile[] = ['x509', 'jwt', 'wit'];
const NO_PARTS: Parts = new Map();

/**
 * Needs no identity of its own: some Workload APIs give bundles to processes that have none. TLS clients made of it present no
 * certificate. An open source keeps the process alive.
 * @example
 * const source = await BundleSource.create();
 * const { spiffeId } = await verifyJwtSvid(source, token, 'spiffe://example.org/billing');
 * const agent = createHttpsAgent(source, authorizeMemberOf('example.org'));
 */
export class BundleSource
  extends EventEmitter<SourceEvents>
  implements X509Trust, JwtTrust, WitTrust, AsyncDisposable
{
  readonly #watch: SourceWatch;
  readonly #heard = new Map<BundleProfile, Heard>();
  #bundles: ReadonlyMap<TrustDomain, SpiffeBundle> = new Map();
  #isOver = false;

  private constructor({ profiles, ...options }: BundleSourceOptions) {
    super();
    this.#watch = new SourceWatch(this, options);
    const { client } = this.#watch;
    const isOptional = profiles === undefined;
    for (const profile of new Set(profiles ?? ALL)) {
      this.#heard.set(profile, { kind: 'nothing' });
      switch (profile) {
        case 'x509':
          this.#watch.follow(this.#stream(profile, (...to) => client.watchX509Bundles(...to), isOptional));
          break;
        case 'jwt':
          this.#watch.follow(this.#stream(profile, (...to) => client.watchJwtBundles(...to), isOptional));
          break;
        case 'wit':
          this.#watch.follow(this.#stream(profile, (...to) => client.watchWitBundles(...to), isOptional));
          break;
      }
    }
    this.#watch.start(() => {
      this.#isOver = true;
      this.#bundles = new Map();
    });
  }

  /**
   * Resolves once every profile has answered, by bundles or by not being offered; waits while the Workload API is not reachable or
   * grants nothing yet.
   * @throws BonafideError as `X509Source.create`; `unimplemented` when a profile that was asked for is not offered, or none is.
   */
  static async create(options: BundleSourceOptions = {}): Promise<BundleSource> {
    if (options.profiles?.length === 0) {
      throw new BonafideError('invalid_argument', `no profile to follow; expected any of ${ALL.join(', ')}`);
    }
    const source = new BundleSource(options);
    const isReady = (): boolean => [...source.#heard.values()].every(({ kind }) => kind !== 'nothing');
    await source.#watch.waitUntilReady({ what: 'trust bundle', isReady });
    return source;
  }

  /** By trust domain: our own and those we federate with; empty while nothing is granted. A new map at each change. */
  get bundles(): ReadonlyMap<TrustDomain, SpiffeBundle> {
    return this.#bundles;
  }

  /**
   * @throws BonafideError `not_found` for a trust domain that is neither ours nor federated, or not at the moment;
   * `failed_precondition` once closed.
   */
  bundleOf(trustDomain: TrustDomain): SpiffeBundle {
    if (this.#isOver) throw new BonafideError('failed_precondition', 'the bundle source is closed');
    const bundle = this.#bundles.get(trustDomain);
    if (bundle === undefined)
      throw new BonafideError('not_found', `there is no bundle of trust domain ${trustDomain}`);
    return bundle;
  }

  /** Ends the watches and drops the bundles. */
  async close(): Promise<void> {
    await this.#watch.close();
  }

  /** As `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stream<B extends Partial<SpiffeBundle>>(
    profile: BundleProfile,
    watch: SourceStream<ReadonlyMap<TrustDomain, B>>['watch'],
    isOptional: boolean,
  ): SourceStream<ReadonlyMap<TrustDomain, B>> {
    return {
      watch,
      accept: (parts) => {
        this.#hear(profile, { kind: 'bundles', parts });
      },
      deny: () => {
        this.#hear(profile, { kind: 'nothing' });
      },
      onUnimplemented: isOptional
        ? (error) => {
            this.#hear(profile, { kind: 'not offered', error });
            const all = [...this.#heard.values()];
            if (all.every(({ kind }) => kind === 'not offered')) throw error;
          }
        : undefined,
    };
  }

  #hear(profile: BundleProfile, heard: Heard): void {
    this.#heard.set(profile, heard);
    const [x509, jwt, wit] = ALL.map((each) => {
      const said = this.#heard.get(each);
      return said?.kind === 'bundles' ? said.parts : NO_PARTS;
    });
    const names = [x509, jwt, wit].flatMap((parts) => [...(parts?.keys() ?? [])]);
    this.#bundles = new Map(
      names.map((trustDomain) => [
        trustDomain,
        {
          trustDomain,
          x509Authorities: x509?.get(trustDomain)?.x509Authorities ?? [],
          jwtAuthorities: jwt?.get(trustDomain)?.jwtAuthorities ?? [],
          witAuthorities: wit?.get(trustDomain)?.witAuthorities ?? [],
        },
      ]),
    );
  }
}
