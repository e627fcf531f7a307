/** A live source of a workload's X.509-SVID and trust bundles: always the newest that the Workload API sent. */
import { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { SourceEvents } from './source-events.js';
import { SourceWatch, type SourceOptions } from './source-watch.js';
import { pickByHint } from './workload-api/unique-hints.js';
import type { X509Bundles, X509Context } from './workload-api/x509-context.js';

/** Which identity an `X509Source` takes, beside what every source can be told. */
export interface X509SourceOptions extends SourceOptions {
  /** The SVID with this hint is the source's; without a hint it is the first, the default identity. */
  readonly hint?: string | undefined;
  /** Chooses among several SVIDs in a way of your own, instead of `hint`. */
  readonly pick?: ((svids: readonly X509Svid[]) => X509Svid | undefined) | undefined;
}

/** The events of an X509Identity. */
export const IDENTITY_EVENTS = ['update', 'denied', 'close'] as const;

/** Whom a TLS client believes that has no SVID to show. `BundleSource` is one. */
export interface X509Trust {
  readonly bundles: X509Bundles;
  /** At each of these, what the source holds may have changed. */
  on(event: 'update' | 'denied' | 'close', listener: () => void): unknown;
  /** Ends what `on` began. */
  off(event: 'update' | 'denied' | 'close', listener: () => void): unknown;
}

/** What mutual TLS needs of a source. `X509Source` is one; another implementation may stand in, for example in a test. */
export interface X509Identity extends X509Trust {
  /** @throws BonafideError when there is none at the moment. */
  readonly svid: X509Svid;
}

/**
 * An open source keeps the process alive.
 * @example
 * const source = await X509Source.create();
 * console.log(source.svid.spiffeId);
 * source.on('update', () => console.log('renewed until', source.svid.notAfter));
 * await source.close();
 */
export class X509Source extends EventEmitter<SourceEvents> implements X509Identity, AsyncDisposable {
  readonly #pick: (svids: readonly X509Svid[]) => X509Svid | undefined;
  readonly #watch: SourceWatch;
  #current: Current = { kind: 'waiting' };

  private constructor(options: X509SourceOptions) {
    super();
    this.#pick = options.pick ?? pickByHint(options.hint);
    this.#watch = new SourceWatch(this, options);
    const { client } = this.#watch;
    this.#watch
      .follow<X509Context>({
        watch: (watcher, signal) => client.watchX509Context(watcher, signal),
        accept: (context) => {
          this.#accept(context);
        },
        deny: (error) => {
          this.#current = { kind: 'denied', error };
        },
      })
      .start((reason) => {
        if (reason === undefined) this.#current = { kind: 'waiting' }; // otherwise what was granted is good until it expires
      });
  }

  /**
   * Resolves once the first SVID is there; waits while the Workload API is not reachable or grants nothing yet.
   * @throws BonafideError `invalid_argument` for a missing or malformed address; `deadline_exceeded` with the last problem as its
   * cause; `cancelled` when the signal fired; the Workload API's reason when it says not to try again.
   */
  static async create(options: X509SourceOptions = {}): Promise<X509Source> {
    const source = new X509Source(options);
    const isReady = (): boolean => source.#current.kind === 'granted';
    await source.#watch.waitUntilReady({ what: 'X.509-SVID', isReady });
    return source;
  }

  /**
   * The newest; it may have expired when the Workload API has been away for long.
   * @throws BonafideError `permission_denied` while the Workload API grants nothing; `failed_precondition` once closed.
   */
  get svid(): X509Svid {
    return this.#granted().svid;
  }

  /** Every SVID granted to this process, the default identity first. @throws BonafideError as `svid`. */
  get svids(): readonly X509Svid[] {
    return this.#granted().svids;
  }

  /** By trust domain: our own and those we federate with; empty while nothing is granted. */
  get bundles(): X509Bundles {
    return this.#current.kind === 'granted' ? this.#current.bundles : new Map();
  }

  /** Ends the watch and drops SVID and bundles: servers and agents of this source make no new connection. */
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
      'the X.509 source is closed, or has not had its first answer',
    );
  }

  #accept({ svids, bundles }: X509Context): void {
    const svid = this.#pick(svids);
    if (svid === undefined) {
      throw new BonafideError('permission_denied', 'none of the SVIDs of this process is the one to pick');
    }
    this.#current = { kind: 'granted', svid, svids, bundles };
  }
}

interface Granted {
  readonly kind: 'granted';
  readonly svid: X509Svid;
  readonly svids: readonly X509Svid[];
  readonly bundles: X509Bundles;
}

type Current =
  { readonly kind: 'waiting' } | Granted | { readonly kind: 'denied'; readonly error: BonafideError };
