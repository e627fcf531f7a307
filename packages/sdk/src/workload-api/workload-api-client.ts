/** A client of the SPIFFE Workload API: one answer at a time, or a watch that outlives the agent's restarts. */
import { credentials, Metadata, type ClientReadableStream } from '@grpc/grpc-js';
import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { fromServiceError } from '@bonafide/shared/rpc/status';
import { resolveEndpointAddress } from './endpoint-address.js';
import { readX509Bundles, readX509Context } from './read-x509-response.js';
import type { X509Bundles, X509Context } from './x509-context.js';

export interface WorkloadApiClientOptions {
  /** `unix:///path/to/agent.sock` or `tcp://127.0.0.1:8000`; undefined: the environment variable SPIFFE_ENDPOINT_SOCKET. */
  readonly address?: string | undefined;
  /** Milliseconds before the first retry and at most between two; each retry waits longer, with jitter. 250 and 5,000. */
  readonly backoff?: { readonly initialMs: number; readonly maximumMs: number } | undefined;
  readonly clock?: Clock | undefined;
}

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the answer may take; 30 seconds unless told. */
  readonly timeoutMs?: number | undefined;
}

/** What a watch tells. Neither is called after the watch's signal fired. */
export interface Watcher<T> {
  /** Everything, each time something in it changed; what it lacks must no longer be used. */
  readonly onUpdate: (update: T) => void;
  /**
   * The stream ended or could not be opened, and will be tried again; or an answer was malformed and is ignored. Reason
   * `permission_denied` says that nothing is granted to this process (any more).
   */
  readonly onError?: ((error: BonafideError) => void) | undefined;
}

type Client = ServiceClient<'SpiffeWorkloadAPI'>;
type Open<Response> = (client: Client, metadata: Metadata) => ClientReadableStream<Response>;

/** SPIFFE Workload Endpoint section 6 and appendix A: with these the caller is wrong, and trying again is as wrong. */
const FATAL: readonly Reason[] = ['invalid_argument', 'unimplemented'];

const DEFAULT_BACKOFF = { initialMs: 250, maximumMs: 5_000 };
const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * @example
 * const client = new WorkloadApiClient();
 * const { svids, bundles } = await client.fetchX509Context();
 * console.log(svids[0].spiffeId, svids[0].notAfter);
 * client.close();
 */
export class WorkloadApiClient {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #backoff: { readonly initialMs: number; readonly maximumMs: number };
  readonly #closed = new AbortController();

  /** Does not connect yet. @throws BonafideError `invalid_argument` when the address is missing or malformed. */
  constructor(options: WorkloadApiClientOptions = {}) {
    const { Client } = loadService('SpiffeWorkloadAPI');
    this.#client = new Client(resolveEndpointAddress(options.address), credentials.createInsecure(), {
      // The endpoint is local: it is back as soon as the agent is.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
    });
    this.#clock = options.clock ?? systemClock;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
  }

  /** The SVIDs and bundles of now. @throws BonafideError with the endpoint's reason; `permission_denied` when nothing is granted. */
  fetchX509Context(options?: FetchOptions): Promise<X509Context> {
    return this.#fetch(openX509Svids, readX509Context, options);
  }

  /** The bundles of now, for a process that verifies others and needs no identity itself. @throws BonafideError. */
  fetchX509Bundles(options?: FetchOptions): Promise<X509Bundles> {
    return this.#fetch(openX509Bundles, readX509Bundles, options);
  }

  /**
   * Follows the SVIDs and bundles until the signal fires, reconnecting whenever the stream ends.
   * @returns when the signal fires or the client is closed.
   * @throws BonafideError `invalid_argument` or `unimplemented`, which the standard says not to retry.
   */
  watchX509Context(watcher: Watcher<X509Context>, signal?: AbortSignal): Promise<void> {
    return this.#watch(openX509Svids, readX509Context, watcher, signal);
  }

  /** As `watchX509Context`, for bundles alone. */
  watchX509Bundles(watcher: Watcher<X509Bundles>, signal?: AbortSignal): Promise<void> {
    return this.#watch(openX509Bundles, readX509Bundles, watcher, signal);
  }

  /** Ends every watch and fetch. */
  close(): void {
    this.#closed.abort();
    this.#client.close();
  }

  async #fetch<Response, T>(
    open: Open<Response>,
    read: (response: Response) => T,
    options: FetchOptions = {},
  ): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const end = linkSignals(this.#closed.signal, options.signal);
    let reason = new BonafideError('cancelled', 'cancelled while waiting for the Workload API');
    const timer = this.#clock.schedule(timeoutMs, () => {
      reason = new BonafideError(
        'deadline_exceeded',
        `the Workload API did not answer within ${timeoutMs} ms`,
      );
      end.abort();
    });
    let answer: { readonly value: T } | undefined;
    try {
      await this.#stream(open, end.signal, (response) => {
        answer ??= { value: read(response) };
        end.abort();
      });
    } finally {
      timer.cancel();
      end.release();
    }
    if (answer === undefined) throw reason;
    return answer.value;
  }

  async #watch<Response, T>(
    open: Open<Response>,
    read: (response: Response) => T,
    watcher: Watcher<T>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const end = linkSignals(this.#closed.signal, signal);
    const backoff = new Backoff(this.#backoff);
    try {
      while (!end.signal.aborted) {
        try {
          await this.#stream(open, end.signal, (response) => {
            backoff.reset();
            this.#deliver(response, read, watcher);
          });
        } catch (error) {
          if (!(error instanceof BonafideError)) throw error; // the watcher's own
          if (FATAL.includes(error.reason)) throw error;
          watcher.onError?.(error);
          const delayMs = error.retryAfterMs ?? backoff.nextDelayMs();
          await sleep(this.#clock, delayMs, end.signal).catch(() => undefined); // the loop sees the signal
        }
      }
    } finally {
      end.release();
    }
  }

  /** A malformed answer changes nothing (section 4.5: report an error and discard the message). */
  #deliver<Response, T>(response: Response, read: (response: Response) => T, watcher: Watcher<T>): void {
    let update: T;
    try {
      update = read(response);
    } catch (error) {
      watcher.onError?.(fromServiceError(error));
      return;
    }
    watcher.onUpdate(update);
  }

  /** One stream, from opening to end. @returns when the signal fires. @throws BonafideError when it ends in any other way. */
  #stream<Response>(
    open: Open<Response>,
    ends: AbortSignal,
    onResponse: (response: Response) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (ends.aborted) {
        resolve();
        return;
      }
      // SPIFFE Workload Endpoint section 3: shows that no forged request of some other program reached the endpoint.
      const metadata = new Metadata();
      metadata.set('workload.spiffe.io', 'true');
      const stream = open(this.#client, metadata);
      const onAbort = (): void => {
        stream.cancel();
        resolve();
      };
      ends.addEventListener('abort', onAbort, { once: true });
      stream.on('data', (response: Response) => {
        if (ends.aborted) return;
        try {
          onResponse(response);
        } catch (error) {
          stream.cancel();
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      stream.on('error', (error) => {
        ends.removeEventListener('abort', onAbort);
        reject(fromServiceError(error));
      });
      stream.on('end', () => {
        ends.removeEventListener('abort', onAbort);
        reject(new BonafideError('unavailable', 'the Workload API ended the stream'));
      });
    });
  }
}

function openX509Svids(client: Client, metadata: Metadata): ReturnType<Client['FetchX509SVID']> {
  return client.FetchX509SVID({}, metadata);
}

function openX509Bundles(client: Client, metadata: Metadata): ReturnType<Client['FetchX509Bundles']> {
  return client.FetchX509Bundles({}, metadata);
}

interface LinkedSignal {
  readonly signal: AbortSignal;
  abort(): void;
  release(): void;
}

/** Fires with any of them; released when no longer needed, so that a long-lived signal does not collect listeners. */
function linkSignals(...signals: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  for (const signal of signals) {
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
  }
  const release = (): void => {
    for (const signal of signals) signal?.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, abort, release };
}
