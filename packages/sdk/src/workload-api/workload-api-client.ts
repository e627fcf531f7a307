/** A client of the SPIFFE Workload API: one answer at a time, or a watch that outlives the agent's restarts. */
import { credentials } from '@grpc/grpc-js';
import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { callUnary, type CallSettings } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { fromServiceError } from '@bonafide/shared/rpc/status';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import { linkSignals } from './link-signals.js';
import { resolveEndpointAddress } from './endpoint-address.js';
import {
  readJwtSvids,
  readValidatedJwtSvid,
  type JwtSvids,
  type ValidatedJwtSvid,
} from './read-jwt-response.js';
import type { WitSvids } from './read-wit-response.js';
import {
  ENDPOINT_METADATA,
  JWT_BUNDLES,
  WIT_BUNDLES,
  witSvids,
  X509_BUNDLES,
  X509_SVIDS,
  type StreamProfile,
  type WorkloadApiStub,
} from './stream-profiles.js';
import type { JwtBundles, WitBundles } from './token-bundle.js';
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
  readonly #client: WorkloadApiStub;
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
    return this.#fetch(X509_SVIDS, options);
  }

  /** The bundles of now, for a process that verifies others and needs no identity itself. @throws BonafideError. */
  fetchX509Bundles(options?: FetchOptions): Promise<X509Bundles> {
    return this.#fetch(X509_BUNDLES, options);
  }

  /**
   * Follows the SVIDs and bundles until the signal fires, reconnecting whenever the stream ends.
   * @returns when the signal fires or the client is closed.
   * @throws BonafideError `invalid_argument` or `unimplemented`, which the standard says not to retry.
   */
  watchX509Context(watcher: Watcher<X509Context>, signal?: AbortSignal): Promise<void> {
    return this.#watch(X509_SVIDS, watcher, signal);
  }

  /** As `watchX509Context`, for bundles alone. */
  watchX509Bundles(watcher: Watcher<X509Bundles>, signal?: AbortSignal): Promise<void> {
    return this.#watch(X509_BUNDLES, watcher, signal);
  }

  /**
   * New JWT-SVIDs, of each identity of this process or of one (SPIFFE Workload API section 6.2.1). `JwtSource` keeps them until they are half used up.
   * @param audience whom the tokens will be shown to; one at least, and better no more than one.
   * @throws BonafideError with the endpoint's reason; `permission_denied` when nothing is granted; `invalid_argument` without an audience.
   */
  async fetchJwtSvids(
    audience: string | readonly string[],
    options: FetchOptions & { readonly spiffeId?: string | undefined } = {},
  ): Promise<JwtSvids> {
    const audiences = typeof audience === 'string' ? [audience] : [...audience];
    if (audiences.length === 0 || audiences.includes('')) {
      throw new BonafideError('invalid_argument', 'the audience is empty; expected whom the token is for');
    }
    const request = { audience: audiences, spiffeId: options.spiffeId ?? '' };
    const response = await this.#call(options, (settings) =>
      callUnary(this.#client, 'FetchJWTSVID', request, settings),
    );
    return readJwtSvids(response, this.#clock.now());
  }

  /** The default identity's JWT-SVID, or that of `spiffeId`. @throws BonafideError as `fetchJwtSvids`. */
  async fetchJwtSvid(
    audience: string | readonly string[],
    spiffeId?: string,
    options?: FetchOptions,
  ): Promise<JwtSvid> {
    const [svid] = await this.fetchJwtSvids(audience, { ...options, spiffeId });
    return svid;
  }

  /**
   * Has the Workload API verify a token (section 6.2.3). `JwtSource.verify` does the same without a call.
   * @param audience as which this process is addressed; it must be among the token's.
   * @throws BonafideError `invalid_argument` when the token is refused, with the reason.
   */
  async validateJwtSvid(token: string, audience: string, options?: FetchOptions): Promise<ValidatedJwtSvid> {
    const response = await this.#call(options, (settings) =>
      callUnary(this.#client, 'ValidateJWTSVID', { audience, svid: token }, settings),
    );
    return readValidatedJwtSvid(response);
  }

  /** The keys of now that verify JWT-SVIDs, by trust domain (section 6.2.2). @throws BonafideError. */
  fetchJwtBundles(options?: FetchOptions): Promise<JwtBundles> {
    return this.#fetch(JWT_BUNDLES, options);
  }

  /** As `watchX509Context`, for the keys that verify JWT-SVIDs. */
  watchJwtBundles(watcher: Watcher<JwtBundles>, signal?: AbortSignal): Promise<void> {
    return this.#watch(JWT_BUNDLES, watcher, signal);
  }

  /**
   * The WIT-SVIDs of now with their keys (section 7.2.1).
   * @throws BonafideError with the endpoint's reason; `unimplemented` where it does not offer WIT-SVIDs, which is optional.
   */
  fetchWitSvids(options: FetchOptions & { readonly spiffeId?: string | undefined } = {}): Promise<WitSvids> {
    return this.#fetch(witSvids(options.spiffeId), options);
  }

  /** As `watchX509Context`, for WIT-SVIDs. @param spiffeId undefined: every identity of this process. */
  watchWitSvids(watcher: Watcher<WitSvids>, signal?: AbortSignal, spiffeId?: string): Promise<void> {
    return this.#watch(witSvids(spiffeId), watcher, signal);
  }

  /** The keys of now that verify WIT-SVIDs, by trust domain (section 7.2.2). @throws BonafideError as `fetchWitSvids`. */
  fetchWitBundles(options?: FetchOptions): Promise<WitBundles> {
    return this.#fetch(WIT_BUNDLES, options);
  }

  /** As `watchX509Context`, for the keys that verify WIT-SVIDs. */
  watchWitBundles(watcher: Watcher<WitBundles>, signal?: AbortSignal): Promise<void> {
    return this.#watch(WIT_BUNDLES, watcher, signal);
  }

  /** Ends every watch and fetch. */
  close(): void {
    this.#closed.abort();
    this.#client.close();
  }

  async #call<T>(
    { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: FetchOptions = {},
    call: (settings: CallSettings) => Promise<T>,
  ): Promise<T> {
    const end = linkSignals(this.#closed.signal, signal);
    try {
      return await call({ metadata: ENDPOINT_METADATA, signal: end.signal, deadlineMs: timeoutMs });
    } finally {
      end.release();
    }
  }

  async #fetch<Response, T>(
    { open, read }: StreamProfile<Response, T>,
    { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: FetchOptions = {},
  ): Promise<T> {
    const end = linkSignals(this.#closed.signal, signal);
    try {
      for await (const response of open(this.#client, end.signal, timeoutMs))
        return read(response, this.#clock.now());
      throw streamEnded();
    } finally {
      end.release();
    }
  }

  async #watch<Response, T>(
    profile: StreamProfile<Response, T>,
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
    { open, read }: StreamProfile<Response, T>,
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
        const update = readOrError(() => read(next.value, this.#clock.now()));
        // Section 4.5: what is malformed is reported and changes nothing.
        if (update instanceof BonafideError) watcher.onError?.(update);
        else watcher.onUpdate(update.value);
      }
    } finally {
      await responses.return?.();
    }
  }
}

function readOrError<T>(read: () => T): { readonly value: T } | BonafideError {
  try {
    return { value: read() };
  } catch (error) {
    return fromServiceError(error);
  }
}

function streamEnded(): BonafideError {
  return new BonafideError('unavailable', 'the Workload API ended the stream');
}
