/** The SPIFFE Workload API, X.509-SVID profile (section 5): streams to each caller its identities and bundles at every change. */
import type { MethodDefinition, Server, ServerWritableStream } from '@grpc/grpc-js';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import { callContexts, type CallContext, type ContextOf } from '@bonafide/shared/rpc/call-context';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Subscription, WorkloadIdentities, WorkloadUpdate } from '../svid-cache/workload-identities.js';
import type { WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { CallerQuota } from './caller-quota.js';
import { LatestOnly } from './latest-only.js';
import { peerOf } from './peer-interceptor.js';
import type { Peer } from './peer.js';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { X509Responses } from './x509-responses.js';

export interface WorkloadApiOptions {
  readonly identities: WorkloadIdentities;
  readonly attest: WorkloadAttestation;
  readonly maxStreamsPerUid: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface WorkloadCall extends CallContext {
  readonly peer: Peer;
}

const { definition } = loadService('SpiffeWorkloadAPI');

export class WorkloadApi {
  readonly #options: WorkloadApiOptions;
  readonly #contextOf: ContextOf<WorkloadCall>;
  readonly #responses: X509Responses;
  readonly #refusals: RefusalLog<'no_identity' | 'streams'>;
  readonly #streams: CallerQuota;
  /** What ends each open stream. */
  readonly #open = new Set<(error: BonafideError) => void>();

  constructor(options: WorkloadApiOptions) {
    this.#options = options;
    const contextOf = callContexts(options.log);
    this.#contextOf = (call) => ({ ...contextOf(call), peer: peerOf(call) });
    this.#responses = new X509Responses(options);
    this.#refusals = new RefusalLog(options);
    this.#streams = new CallerQuota(options.maxStreamsPerUid);
  }

  /** The profiles that are not served are still part of the service, and say so. */
  addTo(server: Server): void {
    server.addService(
      {
        ...definition,
        FetchX509SVID: sendingBytes(definition.FetchX509SVID),
        FetchX509Bundles: sendingBytes(definition.FetchX509Bundles),
      },
      {
        FetchX509SVID: this.#streamOf((update) => this.#responses.svids(update)),
        FetchX509Bundles: this.#streamOf((update) => this.#responses.bundles(update)),
        FetchJWTSVID: unaryHandler(this.#contextOf, notServed('JWT-SVID')),
        FetchJWTBundles: serverStreamHandler(this.#contextOf, notServed('JWT-SVID')),
        ValidateJWTSVID: unaryHandler(this.#contextOf, notServed('JWT-SVID')),
        FetchWITSVID: serverStreamHandler(this.#contextOf, notServed('WIT-SVID')),
        FetchWITBundles: serverStreamHandler(this.#contextOf, notServed('WIT-SVID')),
      },
    );
  }

  /** Ends every open stream, so that its client looks for the next agent on the same socket. */
  endStreams(): void {
    for (const end of this.#open) end(new BonafideError('unavailable', 'the agent is shutting down'));
  }

  #streamOf(
    encode: (update: WorkloadUpdate) => Buffer,
  ): ReturnType<typeof serverStreamHandler<object, Buffer, WorkloadCall>> {
    return serverStreamHandler(this.#contextOf, async (_request, call, context) => {
      const { uid, pid } = context.peer.credentials;
      const leave = this.#streams.enter(uid);
      if (leave === undefined) {
        const message = `user ${uid} has ${this.#streams.limit} streams open, which is as many as one user may have`;
        this.#refusals.warn('streams', { uid, pid }, `refused a stream: ${message}`);
        throw new BonafideError('resource_exhausted', message);
      }
      try {
        await this.#deliver(call, encode, context);
      } finally {
        leave();
      }
    });
  }

  /** Section 4.3: whole messages, the first at once; what a slow reader misses is replaced by what is newest. */
  async #deliver(
    call: ServerWritableStream<object, Buffer>,
    encode: (update: WorkloadUpdate) => Buffer,
    context: WorkloadCall,
  ): Promise<void> {
    const { peer, signal } = context;
    const selectors = await this.#attest(context);
    let end: (error: unknown) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    let sent: Buffer | undefined;
    const latest = new LatestOnly<WorkloadUpdate>((update, taken) => {
      try {
        if (!peer.isAlive()) throw new BonafideError('unauthenticated', 'the caller has exited');
        if (update.identities.length === 0) throw this.#noIdentity(context, selectors);
        const message = encode(update);
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
      subscription = this.#options.identities.subscribe(selectors, (update) => {
        latest.set(update);
      });
      await ended;
    } finally {
      this.#open.delete(end);
      subscription?.close();
    }
  }

  async #attest({ peer, requestId, signal }: WorkloadCall): Promise<readonly Selector[]> {
    try {
      return await this.#options.attest(peer.holdProcess(), { requestId, signal });
    } catch (error) {
      // Whoever holds the connection now is not who opened it; a client that is in earnest connects anew, as itself.
      if (hasReason(error, 'unauthenticated')) peer.disconnect();
      throw error;
    }
  }

  #noIdentity({ peer, requestId }: WorkloadCall, selectors: readonly Selector[]): BonafideError {
    const fields = { requestId, ...peer.credentials, selectors: selectors.map(formatSelector) };
    this.#refusals.warn('no_identity', fields, 'no entry matches the caller: no identity issued');
    return new BonafideError('permission_denied', 'no identity issued');
  }
}

/** Its messages are encoded already. */
function sendingBytes<Request extends object, Response extends object>(
  method: MethodDefinition<Request, Response>,
): MethodDefinition<Request, Buffer> {
  return { ...method, responseSerialize: (bytes) => bytes, responseDeserialize: (bytes) => bytes };
}

function notServed(profile: string): () => Promise<never> {
  return () =>
    Promise.reject(new BonafideError('unimplemented', `the ${profile} profile is not served by this agent`));
}
