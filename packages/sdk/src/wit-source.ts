/** A live source of a workload's WIT-SVID with its key, and of the keys that verify those of others (SPIFFE Workload API section 7). */
import { EventEmitter } from 'node:events';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { announce, waitForFirst, type SourceEvents } from './source-events.js';
import type { WitSvids } from './workload-api/read-wit-response.js';
import type { WitBundles } from './workload-api/token-bundle.js';
import { pickByHint } from './workload-api/unique-hints.js';
import { WorkloadApiClient, type WorkloadApiClientOptions } from './workload-api/workload-api-client.js';

export interface WitSourceOptions extends WorkloadApiClientOptions {
  /** Shared with others and not closed with the source; undefined: the source makes its own of the other options. */
  readonly client?: WorkloadApiClient | undefined;
  /** The SVID with this hint is the source's; without a hint it is the first, the default identity. */
  readonly hint?: string | undefined;
  /** Chooses among several SVIDs in a way of your own, instead of `hint`. */
  readonly pick?: ((svids: readonly WitSvid[]) => WitSvid | undefined) | undefined;
  /** Ends the waiting for the first answers. */
  readonly signal?: AbortSignal | undefined;
  /** How long `create` waits for the first SVID and the first bundles; 30 seconds unless told. */
  readonly timeoutMs?: number | undefined;
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
  readonly #client: WorkloadApiClient;
  readonly #pick: (svids: readonly WitSvid[]) => WitSvid | undefined;
  readonly #clock: Clock;
  readonly #end = new AbortController();
  readonly #ended: Promise<void>;
  #current: Current = { kind: 'waiting' };
  #bundles: WitBundles = new Map();

  private constructor(client: WorkloadApiClient, options: WitSourceOptions) {
    super();
    this.setMaxListeners(0);
    this.#client = client;
    this.#clock = options.clock ?? systemClock;
    this.#pick = options.pick ?? pickByHint(options.hint);
    const release = keepProcessAlive();
    this.#ended = this.#watch().finally(() => {
      if (options.client === undefined) client.close();
      release();
    });
  }

  /**
   * Resolves once the first SVID and the first bundles are there; waits while the Workload API is not reachable or grants nothing yet.
   * @throws BonafideError as `X509Source.create`; `unimplemented` where the Workload API does not offer WIT-SVIDs.
   */
  static async create(options: WitSourceOptions = {}): Promise<WitSource> {
    const source = new WitSource(options.client ?? new WorkloadApiClient(options), options);
    const isReady = (): boolean => source.#current.kind === 'granted' && source.#bundles.size > 0;
    try {
      await waitForFirst(source, { ...options, clock: source.#clock, what: 'WIT-SVID', isReady });
    } catch (error) {
      await source.close();
      throw error;
    }
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
    this.#end.abort();
    await this.#ended;
  }

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

  async #watch(): Promise<void> {
    const ends = [
      this.#client.watchWitSvids(
        {
          onUpdate: (svids) => {
            this.#accept(svids);
          },
          onError: (error) => {
            this.#onError(error, 'svids');
          },
        },
        this.#end.signal,
      ),
      this.#client.watchWitBundles(
        {
          onUpdate: (bundles) => {
            this.#bundles = bundles;
            announce(() => this.emit('update'));
          },
          onError: (error) => {
            this.#onError(error, 'bundles');
          },
        },
        this.#end.signal,
      ),
    ];
    let reason: BonafideError | undefined;
    // The first that ends for good takes the other one with it.
    for (const end of ends) {
      end.catch((error: unknown) => {
        reason ??= explain(error);
        this.#end.abort();
      });
    }
    await Promise.allSettled(ends);
    this.#current = reason === undefined ? { kind: 'waiting' } : { kind: 'denied', error: reason };
    this.#bundles = new Map();
    announce(() => this.emit('close', reason));
  }

  #accept(svids: WitSvids): void {
    const svid = this.#pick(svids);
    if (svid === undefined) {
      const message = 'none of the WIT-SVIDs of this process is the one to pick';
      this.#onError(new BonafideError('permission_denied', message), 'svids');
      return;
    }
    this.#current = { kind: 'granted', svid, svids };
    announce(() => this.emit('update'));
  }

  /** SPIFFE Workload API sections 7.2.1 and 7.2.2: what is no longer granted is no longer to be used. */
  #onError(error: BonafideError, stream: 'svids' | 'bundles'): void {
    if (!hasReason(error, 'permission_denied')) {
      announce(() => this.emit('disconnect', error));
      return;
    }
    if (stream === 'svids') this.#current = { kind: 'denied', error };
    else this.#bundles = new Map();
    announce(() => this.emit('denied', error));
  }
}

interface Granted {
  readonly kind: 'granted';
  readonly svid: WitSvid;
  readonly svids: readonly WitSvid[];
}

type Current =
  { readonly kind: 'waiting' } | Granted | { readonly kind: 'denied'; readonly error: BonafideError };

function explain(error: unknown): BonafideError {
  if (hasReason(error, 'unimplemented')) {
    const message =
      'the Workload API does not offer WIT-SVIDs; turn its WIT-SVID profile on, or use X509Source or JwtSource';
    return new BonafideError('unimplemented', message, { cause: error });
  }
  return error instanceof BonafideError ? error : new BonafideError('internal', String(error));
}
