/** A live source of a workload's WIT-SVID with its key, and of the keys that verify those of others (SPIFFE Workload API section 7). */
import { EventEmitter } from 'node:events';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import type { SourceEvents } from './source-events.js';
import { SourceWatch, type SourceOptions } from './source-watch.js';
import type { WitSvids } from './workload-api/read-wit-response.js';
import type { WitBundles } from './workload-api/token-bundle.js';
import { pickByHint } from './workload-api/unique-hints.js';

/** Which identity a `WitSource` takes, beside what every source can be told. */
export interface WitSourceOptions extends SourceOptions {
  /** The SVID with this hint is the source's; without a hint it is the first, the default identity. */
  readonly hint?: string | undefined;
  /** Chooses among several SVIDs in a way of your own, instead of `hint`. */
  readonly pick?: ((svids: readonly WitSvid[]) => WitSvid | undefined) | undefined;
}

/** Who signs with a WIT-SVID. `WitSource` is one. */
export interface WitIdentity {
  /** @throws BonafideError when there is none at the moment. */
  readonly svid: WitSvid;
}

/** Who verifies WIT-SVIDs. `WitSource` is one, and so is `{ bundles }` with what `watchWitBundles` told. */
export interface WitTrust {
  readonly bundles: WitBundles;
}

/**
 * An open source keeps the process alive. Where the Workload API does not offer WIT-SVIDs, which is optional, it closes with
 * `unimplemented` and does not try again.
 * @example
 * const source = await WitSource.create();
 * const call = witFetch(source);
 * await call('https://billing.internal:8443/invoices', { method: 'POST', body: '{}' });
 * await source.close();
 */
export class WitSource extends EventEmitter<SourceEvents> implements WitIdentity, WitTrust, AsyncDisposable {
  readonly #pick: (svids: readonly WitSvid[]) => WitSvid | undefined;
  readonly #watch: SourceWatch;
  #current: Current = { kind: 'waiting' };
  #bundles: WitBundles = new Map();

  private constructor(options: WitSourceOptions) {
    super();
    this.#pick = options.pick ?? pickByHint(options.hint);
    this.#watch = new SourceWatch(this, options);
    const { client } = this.#watch;
    this.#watch
      .follow<WitSvids>({
        watch: (watcher, signal) => client.watchWitSvids(watcher, signal).catch(explain),
        accept: (svids) => {
          this.#accept(svids);
        },
        deny: (error) => {
          this.#current = { kind: 'denied', error };
        },
      })
      .follow<WitBundles>({
        watch: (watcher, signal) => client.watchWitBundles(watcher, signal).catch(explain),
        accept: (bundles) => {
          this.#bundles = bundles;
        },
        deny: () => {
          this.#bundles = new Map();
        },
      })
      .start((reason) => {
        this.#current = reason === undefined ? { kind: 'waiting' } : { kind: 'denied', error: reason };
        this.#bundles = new Map();
      });
  }

  /**
   * Resolves once the first SVID and the first bundles are there; waits while the Workload API is not reachable or grants nothing yet.
   * @throws BonafideError as `X509Source.create`; `unimplemented` where the Workload API does not offer WIT-SVIDs.
   */
  static async create(options: WitSourceOptions = {}): Promise<WitSource> {
    const source = new WitSource(options);
    const isReady = (): boolean => source.#current.kind === 'granted' && source.#bundles.size > 0;
    await source.#watch.waitUntilReady({ what: 'WIT-SVID', isReady });
    return source;
  }

  /**
   * The newest; it may have expired when the Workload API has been away for long.
   * @throws BonafideError `permission_denied` while the Workload API grants nothing; `failed_precondition` once closed.
   */
  get svid(): WitSvid {
    return this.#granted().svid;
  }

  /** Every SVID granted to this process, the default identity first. @throws BonafideError as `svid`. */
  get svids(): readonly WitSvid[] {
    return this.#granted().svids;
  }

  /** By trust domain: our own and those we federate with; empty while nothing is granted. */
  get bundles(): WitBundles {
    return this.#bundles;
  }

  /** Ends the watches and drops SVID and bundles. */
  async close(): Promise<void> {
    await this.#watch.close();
  }

  /** As `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #granted(): Granted {
    if (this.#current.kind === 'granted') return this.#current;
    if (this.#current.kind === 'denied') throw this.#current.error;
    throw new BonafideError(
      'failed_precondition',
      'the WIT source is closed, or has not had its first answer',
    );
  }

  #accept(svids: WitSvids): void {
    const svid = this.#pick(svids);
    if (svid === undefined) {
      throw new BonafideError(
        'permission_denied',
        'none of the WIT-SVIDs of this process is the one to pick',
      );
    }
    this.#current = { kind: 'granted', svid, svids };
  }
}

interface Granted {
  readonly kind: 'granted';
  readonly svid: WitSvid;
  readonly svids: readonly WitSvid[];
}

type Current =
  { readonly kind: 'waiting' } | Granted | { readonly kind: 'denied'; readonly error: BonafideError };

/** @throws what it is given, with what to do about it where that is known. */
function explain(error: unknown): never {
  if (!hasReason(error, 'unimplemented')) throw error;
  const message =
    'the Workload API does not offer WIT-SVIDs; turn its WIT-SVID profile on, or use X509Source or JwtSource';
  throw new BonafideError('unimplemented', message, { cause: error });
}
