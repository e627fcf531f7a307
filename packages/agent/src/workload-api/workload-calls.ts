/** What all profiles of the Workload API have in common: who calls, how much one user may ask at once, and streams that follow changes. */
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import { callContexts, type CallContext, type ContextOf } from '@bonafide/shared/rpc/call-context';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { CallerQuota } from '../endpoints/caller-quota.js';
import { peerOf } from '../endpoints/peer-interceptor.js';
import type { Peer } from '../endpoints/peer.js';
import type { Subscription } from '../svid-cache/workload-identities.js';
import type { WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { LatestOnly } from './latest-only.js';

export interface WorkloadCallsOptions {
  readonly attest: WorkloadAttestation;
  readonly maxStreamsPerUid: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface WorkloadCall extends CallContext {
  readonly peer: Peer;
}

/** A caller that was attested. */
export interface Caller {
  readonly selectors: readonly Selector[];
  /** To be thrown when the caller is entitled to nothing; the log tells why. */
  noIdentity(): BonafideError;
}

/** What a stream is fed with. */
interface Feed<Update> {
  push(update: Update): void;
  /** Ends the stream. */
  fail(error: BonafideError): void;
}

export interface StreamProfile<Request, Update> {
  /** Feeds the stream until it is closed. @throws BonafideError when the request is refused. */
  follow(request: Request, caller: Caller, feed: Feed<Update>): Subscription;
  /** The encoded message. @throws BonafideError when there is nothing for the caller (any more). */
  encode(update: Update, caller: Caller): Buffer;
}

type Implementation = Parameters<Server['addService']>[1];
export type Handler = Implementation[string];

export class WorkloadCalls {
  readonly #options: WorkloadCallsOptions;
  readonly #contextOf: ContextOf<WorkloadCall>;
  readonly #refusals: RefusalLog<'no_identity' | 'streams'>;
  readonly #streams: CallerQuota;
  /** What ends each open stream. */
  readonly #open = new Set<(error: BonafideError) => void>();

  constructor(options: WorkloadCallsOptions) {
    this.#options = options;
    const contextOf = callContexts(options.log);
    this.#contextOf = (call) => ({ ...contextOf(call), peer: peerOf(call) });
    this.#refusals = new RefusalLog(options);
    this.#streams = new CallerQuota(options.maxStreamsPerUid);
  }

  /** Ends every open stream, so that its client looks for the next agent on the same socket. */
  endStreams(): void {
    for (const end of this.#open) end(new BonafideError('unavailable', 'the agent is shutting down'));
  }

  /** @param check refuses requests that need no look at the caller. */
  unary<Request, Response>(
    check: (request: Request) => void,
    answer: (request: Request, caller: Caller) => Promise<Response>,
  ): ReturnType<typeof unaryHandler<Request, Response, WorkloadCall>> {
    return unaryHandler(this.#contextOf, (request, _call, context) =>
      this.#within(context, async () => {
        check(request);
        const response = await answer(request, await this.#attest(context));
        assertAlive(context.peer);
        return response;
      }),
    );
  }

  /** Section 4.3: whole messages, the first at once; what a slow reader misses is replaced by what is newest. */
  stream<Request, Update>(
    profile: StreamProfile<Request, Update>,
  ): ReturnType<typeof serverStreamHandler<Request, Buffer, WorkloadCall>> {
    return serverStreamHandler(this.#contextOf, (request, call, context) =>
      this.#within(context, () => this.#deliver(request, call, profile, context)),
    );
  }

  async #within<Answer>({ peer }: WorkloadCall, work: () => Promise<Answer>): Promise<Answer> {
    const { uid, pid } = peer.credentials;
    const leave = this.#streams.enter(uid);
    if (leave === undefined) {
      const message = `user ${uid} has ${this.#streams.limit} streams open, which is as many as one user may have`;
      this.#refusals.warn('streams', { uid, pid }, `refused a stream: ${message}`);
      throw new BonafideError('resource_exhausted', message);
    }
    try {
      return await work();
    } finally {
      leave();
    }
  }

  async #deliver<Request, Update>(
    request: Request,
    call: ServerWritableStream<Request, Buffer>,
    profile: StreamProfile<Request, Update>,
    context: WorkloadCall,
  ): Promise<void> {
    const { peer, signal } = context;
    const caller = await this.#attest(context);
    let end: (error: unknown) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    ended.catch(() => undefined); // when the call ends before anybody waits for it, what `follow` throws is the answer
    let sent: Buffer | undefined;
    const latest = new LatestOnly<Update>((update, taken) => {
      try {
        assertAlive(peer);
        const message = profile.encode(update, caller);
        if (sent?.equals(message) === true) {
          taken();
          return;
        }
        sent = message;
        call.write(message, taken); // called back once it has left for the network; never when the call is over
      } catch (error) {
        end(error);
      }
    });
    const onOver = (): void => {
      end(new BonafideError('cancelled', 'the call is over'));
    };
    if (signal.aborted) onOver();
    signal.addEventListener('abort', onOver, { once: true });
    this.#open.add(end);
    let subscription: Subscription | undefined;
    try {
      const feed: Feed<Update> = {
        push: (update) => {
          latest.set(update);
        },
        fail: end,
      };
      subscription = profile.follow(request, caller, feed);
      await ended;
    } finally {
      this.#open.delete(end);
      subscription?.close();
    }
  }

  async #attest({ peer, requestId, signal }: WorkloadCall): Promise<Caller> {
    try {
      const selectors = await this.#options.attest(peer.holdProcess(), { requestId, signal });
      return {
        selectors,
        noIdentity: () => {
          const fields = { requestId, ...peer.credentials, selectors: selectors.map(formatSelector) };
          this.#refusals.warn('no_identity', fields, 'no entry matches the caller: no identity issued');
          return new BonafideError('permission_denied', 'no identity issued');
        },
      };
    } catch (error) {
      // Whoever holds the connection now is not who opened it; a client that is in earnest connects anew, as itself.
      if (hasReason(error, 'unauthenticated')) peer.disconnect();
      throw error;
    }
  }
}

function assertAlive(peer: Peer): void {
  if (!peer.isAlive()) throw new BonafideError('unauthenticated', 'the caller has exited');
}
