/** A live source of a workload's X.509-SVID and trust bundles: always the newest that the Workload API sent. */
import { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
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

/** What is listened to with `source.on`. */
export interface X509SourceEvents {
  /** Something in the SVID or the bundles changed; `source.svid` and `source.bundles` already are the new ones. */
  update: [];
  /** The Workload API grants this process nothing any more: SVID and bundles are dropped until an `update` says otherwise. */
  denied: [BonafideError];
  /** The Workload API cannot be reached, or answered something unusable; the last SVID and bundles stay, and it is tried again. */
  disconnect: [BonafideError];
  /** The watch has ended: undefined after `close`, otherwise with the reason for which trying again would be wrong. */
  close: [BonafideError | undefined];
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

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * An open source keeps the process alive.
 * @example
 * const source = await X509Source.create();
 * console.log(source.svid.spiffeId);
 * source.on('update', () => console.log('renewed until', source.svid.notAfter));
 * await source.close();
 */
export class X509Source extends EventEmitter<X509SourceEvents> implements X509Identity, AsyncDisposable {
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
      await source.#waitForFirst(options);
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
        else this.#announce(() => this.emit('disconnect', error));
      },
    };
    try {
      await this.#client.watchX509Context(watcher, this.#end.signal);
      this.#current = { kind: 'waiting' };
      this.#announce(() => this.emit('close', undefined));
    } catch (error) {
      const reason = error instanceof BonafideError ? error : new BonafideError('internal', String(error));
      this.#announce(() => this.emit('close', reason));
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
    this.#announce(() => this.emit('update'));
  }

  /** SPIFFE Workload API section 5.2.1: what is no longer granted is no longer to be used. */
  #deny(error: BonafideError): void {
    this.#current = { kind: 'denied', error };
    this.#announce(() => this.emit('denied', error));
  }

  /** A listener that throws is its owner's fault and must not pass for a fault of the stream. */
  #announce(emit: () => void): void {
    try {
      emit();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #waitForFirst({ signal, timeoutMs = DEFAULT_TIMEOUT_MS }: X509SourceOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      let last: BonafideError | undefined;
      const remember = (error: BonafideError): void => {
        last = error;
      };
      const finish = (settle: () => void): void => {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        this.off('update', onUpdate)
          .off('close', onClose)
          .off('denied', remember)
          .off('disconnect', remember);
        settle();
      };
      const onUpdate = (): void => {
        finish(resolve);
      };
      const onClose = (error: BonafideError | undefined): void => {
        finish(() => {
          reject(error ?? new BonafideError('cancelled', 'the X.509 source was closed'));
        });
      };
      const onAbort = (): void => {
        finish(() => {
          reject(new BonafideError('cancelled', 'cancelled while waiting for the first X.509-SVID'));
        });
      };
      const timer = this.#clock.schedule(timeoutMs, () => {
        finish(() => {
          const because = last === undefined ? '' : `: ${last.message}`;
          const message = `no X.509-SVID within ${timeoutMs} ms${because}`;
          reject(new BonafideError('deadline_exceeded', message, { cause: last }));
        });
      });
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.on('update', onUpdate).on('close', onClose).on('denied', remember).on('disconnect', remember);
    });
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

function pickByHint(hint: string | undefined): (svids: readonly X509Svid[]) => X509Svid | undefined {
  return hint === undefined ? (svids) => svids[0] : (svids) => svids.find((svid) => svid.hint === hint);
}
