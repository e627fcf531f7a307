/** A live source of a workload's X.509-SVID and trust bundles: always the newest that the Workload API sent. */
import { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { announce, waitForFirst, type SourceEvents } from './source-events.js';
import { pickByHint } from './workload-api/unique-hints.js';
import { WorkloadApiClient, type WorkloadApiClientOptions } from './workload-api/workload-api-client.js';
import type { X509Bundles, X509Context } from './workload-api/x509-context.js';

export interface X509SourceOptions extends WorkloadApiClientOptions {
  /** Shared with others and not closed with the source; undefined: the source makes its own of the other options. */
  readonly client?: WorkloadApiClient | undefined;
  /** The SVID with this hint is the source's; without a hint it is the first, the default identity. */
  readonly hint?: string | undefined;
  /** Chooses among several SVIDs in a way of your own, instead of `hint`. */
  readonly pick?: ((svids: readonly X509Svid[]) => X509Svid | undefined) | undefined;
  /** Ends the waiting for the first answer. */
  readonly signal?: AbortSignal | undefined;
  /** How long `create` waits for the first answer; 30 seconds unless told. */
  readonly timeoutMs?: number | undefined;
}

/** The events of an X509Identity. */
export const IDENTITY_EVENTS = ['update', 'denied', 'close'] as const;

/** What TLS needs of a source. `X509Source` is one; another implementation may stand in, for example in a test. */
export interface X509Identity {
  /** @throws BonafideError when there is none at the moment. */
  readonly svid: X509Svid;
  readonly bundles: X509Bundles;
  /** At each of these, `svid` or `bundles` may have changed. */
  on(event: 'update' | 'denied' | 'close', listener: () => void): unknown;
  off(event: 'update' | 'denied' | 'close', listener: () => void): unknown;
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
  readonly #client: WorkloadApiClient;
  readonly #pick: (svids: readonly X509Svid[]) => X509Svid | undefined;
  readonly #end = new AbortController();
  readonly #ended: Promise<void>;
  readonly #clock: Clock;
  #current: Current = { kind: 'waiting' };

  private constructor(client: WorkloadApiClient, options: X509SourceOptions) {
    super();
    this.setMaxListeners(0); // one for each server and agent that it serves
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
   * Resolves once the first SVID is there; waits while the Workload API is not reachable or grants nothing yet.
   * @throws BonafideError `invalid_argument` for a missing or malformed address; `deadline_exceeded` with the last problem as its
   * cause; `cancelled` when the signal fired; the Workload API's reason when it says not to try again.
   */
  static async create(options: X509SourceOptions = {}): Promise<X509Source> {
    const source = new X509Source(options.client ?? new WorkloadApiClient(options), options);
    try {
      await waitForFirst(source, { ...options, clock: source.#clock, what: 'X.509-SVID' });
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
      'the X.509 source is closed, or has not had its first answer',
    );
  }

  async #watch(): Promise<void> {
    const watcher = {
      onUpdate: (context: X509Context) => {
        this.#accept(context);
      },
      onError: (error: BonafideError) => {
        if (error.reason === 'permission_denied') this.#deny(error);
        else announce(() => this.emit('disconnect', error));
      },
    };
    try {
      await this.#client.watchX509Context(watcher, this.#end.signal);
      this.#current = { kind: 'waiting' };
      announce(() => this.emit('close', undefined));
    } catch (error) {
      const reason = error instanceof BonafideError ? error : new BonafideError('internal', String(error));
      announce(() => this.emit('close', reason));
    }
  }

  #accept({ svids, bundles }: X509Context): void {
    const svid = this.#pick(svids);
    if (svid === undefined) {
      this.#deny(
        new BonafideError('permission_denied', 'none of the SVIDs of this process is the one to pick'),
      );
      return;
    }
    this.#current = { kind: 'granted', svid, svids, bundles };
    announce(() => this.emit('update'));
  }

  /** SPIFFE Workload API section 5.2.1: what is no longer granted is no longer to be used. */
  #deny(error: BonafideError): void {
    this.#current = { kind: 'denied', error };
    announce(() => this.emit('denied', error));
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
