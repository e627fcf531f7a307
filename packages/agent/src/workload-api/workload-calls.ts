/** What all profiles of the Workload API have in common: who calls, how much one user may ask at once, and streams that follow changes. */
import type { Server, ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import { callContexts, type CallContext, type ContextOf } from '@bonafide/shared/rpc/call-context';
import { bidiHandler, serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { currentSpan } from '@bonafide/shared/telemetry/tracer';
import { peerOf } from '../endpoints/peer-interceptor.js';
import type { Peer } from '../endpoints/peer.js';
import { deliverUpdates } from '../streams/deliver-updates.js';
import { StreamEnds } from '../streams/stream-ends.js';
import type { Subscription } from '../svid-cache/workload-identities.js';
import type { AttestationCall, WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { loggedSelectors, type SelectorLogging } from '../workload-attestation/shown-selectors.js';
import { CallLimits, type CallLimitsOptions } from './call-limits.js';
import { converse, type Conversation, type ConversationFeed } from './conversation.js';

export interface WorkloadCallsOptions extends CallLimitsOptions {
  readonly attest: WorkloadAttestation;
  /** Told of the selectors of each caller that was attested. */
  readonly onAttested?: ((selectors: readonly Selector[]) => void) | undefined;
  /** Without values that may be secrets, unless told. */
  readonly selectorLogging?: (() => SelectorLogging) | undefined;
}

interface WorkloadCall extends CallContext {
  readonly peer: Peer;
}

/** A caller that was attested. */
export interface Caller {
  readonly selectors: readonly Selector[];
  readonly credentials: Peer['credentials'];
  /** Of the call. */
  readonly log: Logger;
  /** Fires when the call is over. */
  readonly signal: AbortSignal;
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
  readonly #refusals: RefusalLog<'no_identity'>;
  readonly #limits: CallLimits;
  readonly #streams = new StreamEnds();

  constructor(options: WorkloadCallsOptions) {
    this.#options = options;
    const contextOf = callContexts(options.log);
    this.#contextOf = (call) => {
      const peer = peerOf(call);
      currentSpan()?.set({ 'bonafide.peer.uid': peer.credentials.uid });
      return { ...contextOf(call), peer };
    };
    this.#refusals = new RefusalLog(options);
    this.#limits = new CallLimits(options);
  }

  /** Ends every open stream, so that its client looks for the next agent on the same socket. */
  endStreams(): void {
    this.#streams.endAll();
  }

  /** @param check refuses requests that need no look at the caller. */
  unary<Request, Response>(
    check: (request: Request) => void,
    answer: (request: Request, caller: Caller) => Promise<Response>,
  ): ReturnType<typeof unaryHandler<Request, Response, WorkloadCall>> {
    return unaryHandler(this.#contextOf, (request, _call, context) =>
      this.#limits.within(context, async () => {
        check(request);
        const response = await answer(request, await this.#attest(context));
        assertAlive(context.peer);
        return response;
      }),
    );
  }

  /** Of a caller that is not attested here, but looked at by `answer`; within the same limits. */
  examined<Request, Response>(
    answer: (request: Request, peer: Peer, call: AttestationCall) => Promise<Response>,
  ): ReturnType<typeof unaryHandler<Request, Response, WorkloadCall>> {
    return unaryHandler(this.#contextOf, (request, _call, context) =>
      this.#limits.within(context, async () => {
        const { peer } = context;
        const response = await this.#limits.inTurn(context, () => answer(request, peer, context));
        assertAlive(peer);
        return response;
      }),
    );
  }

  /** Section 4.3: whole messages, the first at once; what a slow reader misses is replaced by what is newest. */
  stream<Request, Update>(
    profile: StreamProfile<Request, Update>,
  ): ReturnType<typeof serverStreamHandler<Request, Buffer, WorkloadCall>> {
    return serverStreamHandler(this.#contextOf, (request, call, context) =>
      this.#limits.within(context, () => this.#deliver(request, call, profile, context)),
    );
  }

  /** Both ends speak; the caller is attested once, before its first request is read. */
  conversation<Request, Response>(
    begin: (caller: Caller, feed: ConversationFeed) => Conversation<Request, Response>,
  ): ReturnType<typeof bidiHandler<Request, Response, WorkloadCall>> {
    return bidiHandler(this.#contextOf, (call, context) =>
      this.#limits.within(context, () => this.#converse(call, begin, context)),
    );
  }

  async #deliver<Request, Update>(
    request: Request,
    call: ServerWritableStream<Request, Buffer>,
    profile: StreamProfile<Request, Update>,
    context: WorkloadCall,
  ): Promise<void> {
    const { peer, signal } = context;
    const caller = await this.#attest(context);
    await deliverUpdates<Update>(
      { call, signal, streams: this.#streams },
      {
        follow: (push, end) => profile.follow(request, caller, { push, fail: end }),
        encode: (update) => {
          assertAlive(peer);
          return profile.encode(update, caller);
        },
      },
    );
  }

  async #converse<Request, Response>(
    call: ServerDuplexStream<Request, Response>,
    begin: (caller: Caller, feed: ConversationFeed) => Conversation<Request, Response>,
    context: WorkloadCall,
  ): Promise<void> {
    const caller = await this.#attest(context);
    const { end, ended, release } = this.#streams.open(context.signal);
    try {
      await converse({
        call,
        begin: (feed) => begin(caller, feed),
        check: () => {
          assertAlive(context.peer);
        },
        end,
        ended,
      });
    } finally {
      release();
    }
  }

  async #attest(context: WorkloadCall): Promise<Caller> {
    const { log, peer, requestId, signal } = context;
    try {
      const selectors = await this.#limits.inTurn(context, () =>
        this.#options.attest(peer.holdProcess(), { requestId, signal }),
      );
      this.#options.onAttested?.(selectors);
      return {
        selectors,
        credentials: peer.credentials,
        log,
        signal,
        noIdentity: () => {
          const shown = loggedSelectors(selectors, this.#options.selectorLogging?.() ?? 'redacted');
          const { pid } = peer.credentials;
          this.#refusals.warn(
            'no_identity',
            {
              request_id: requestId,
              ...peer.credentials,
              ...(shown === undefined ? {} : { selectors: shown }),
            },
            `no entry matches the caller: no identity issued; 'bonafide-agent explain --pid ${pid}' tells why`,
          );
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
