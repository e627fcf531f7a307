/** A client of the SPIFFE Workload API: one answer at a time, or a watch that outlives the agent's restarts. */
import { credentials } from '@grpc/grpc-js';
import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { X509BundlesResponse__Output } from '@bonafide/shared/rpc/gen/X509BundlesResponse';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
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

/** One of the API's streams, and what its messages say. */
interface Profile<Response, T> {
  readonly open: (client: Client, signal: AbortSignal, deadlineMs?: number) => AsyncIterable<Response>;
  readonly read: (response: Response) => T;
}

/** SPIFFE Workload Endpoint section 3: shows that no forged request of some other program reached the endpoint. */
const metadata = { 'workload.spiffe.io': 'true' };

const SVIDS: Profile<X509SVIDResponse__Output, X509Context> = {
  open: (client, signal, deadlineMs) =>
    openServerStream(client, 'FetchX509SVID', {}, { metadata, signal, deadlineMs }),
  read: readX509Context,
};

const BUNDLES: Profile<X509BundlesResponse__Output, X509Bundles> = {
  open: (client, signal, deadlineMs) =>
    openServerStream(client, 'FetchX509Bundles', {}, { metadata, signal, deadlineMs }),
  read: readX509Bundles,
};

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
    return this.#fetch(SVIDS, options);
  }

  /** The bundles of now, for a process that verifies others and needs no identity itself. @throws BonafideError. */
  fetchX509Bundles(options?: FetchOptions): Promise<X509Bundles> {
    return this.#fetch(BUNDLES, options);
  }

  /**
   * Follows the SVIDs and bundles until the signal fires, reconnecting whenever the stream ends.
   * @returns when the signal fires or the client is closed.
   * @throws BonafideError `invalid_argument` or `unimplemented`, which the standard says not to retry.
   */
  watchX509Context(watcher: Watcher<X509Context>, signal?: AbortSignal): Promise<void> {
    return this.#watch(SVIDS, watcher, signal);
  }

  /** As `watchX509Context`, for bundles alone. */
  watchX509Bundles(watcher: Watcher<X509Bundles>, signal?: AbortSignal): Promise<void> {
    return this.#watch(BUNDLES, watcher, signal);
  }

  /** Ends every watch and fetch. */
  close(): void {
    this.#closed.abort();
    this.#client.close();
  }

  async #fetch<Response, T>(
    { open, read }: Profile<Response, T>,
    { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: FetchOptions = {},
  ): Promise<T> {
    const end = linkSignals(this.#closed.signal, signal);
    try {
      for await (const response of open(this.#client, end.signal, timeoutMs)) return read(response);
      throw streamEnded();
    } finally {
      end.release();
    }
  }

  async #watch<Response, T>(
    profile: Profile<Response, T>,
    watcher: Watcher<T>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const end = linkSignals(this.#closed.signal, signal);
    const backoff = new Backoff(this.#backoff);
    try {
      for (;;) {
        const error = await this.#follow(profile, watcher, { signal: end.signal, backoff });
        if (end.signal.aborted) return;
        if (FATAL.includes(error.reason)) throw error;
        watcher.onError?.(error);
        const delayMs = error.retryAfterMs ?? backoff.nextDelayMs();
        await sleep(this.#clock, delayMs, end.signal).catch(() => undefined); // the next turn sees the signal
      }
    } finally {
      end.release();
    }
  }

  /** One stream, to its end. @returns why it ended. @throws what the watcher threw. */
  async #follow<Response, T>(
    { open, read }: Profile<Response, T>,
    watcher: Watcher<T>,
    { signal, backoff }: { readonly signal: AbortSignal; readonly backoff: Backoff },
  ): Promise<BonafideError> {
    const responses = open(this.#client, signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await responses.next().catch((error: unknown) => fromServiceError(error));
        if (next instanceof BonafideError) return next;
        if (next.done === true || signal.aborted) return streamEnded();
        backoff.reset();
        const update = readOrError(read, next.value);
        // Section 4.5: what is malformed is reported and changes nothing.
        if (update instanceof BonafideError) watcher.onError?.(update);
        else watcher.onUpdate(update.value);
      }
    } finally {
      await responses.return?.();
    }
  }
}

function readOrError<Response, T>(
  read: (response: Response) => T,
  response: Response,
): { readonly value: T } | BonafideError {
  try {
    return { value: read(response) };
  } catch (error) {
    return fromServiceError(error);
  }
}

function streamEnded(): BonafideError {
  return new BonafideError('unavailable', 'the Workload API ended the stream');
}

/** Fires with any of them; released when no longer needed, so that a long-lived signal does not collect listeners. */
function linkSignals(...signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  release(): void;
} {
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
  return { signal: controller.signal, release };
}
