/** How much one user of the node may ask of the agent: calls a second, calls open at once, and callers looked at at once. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { TokenBuckets } from '@bonafide/shared/runtime/token-buckets';
import { CallerQuota } from '../endpoints/caller-quota.js';
import type { EndpointLimits } from '../endpoints/endpoint-limits.js';
import type { Peer } from '../endpoints/peer.js';
import { AttestationTurns } from './attestation-turns.js';

export interface CallLimitsOptions {
  /** Looked at for each call: a reload changes them in place. */
  readonly limits: Pick<
    EndpointLimits,
    'maxStreamsPerUid' | 'callsPerSecondPerUid' | 'maxAttestations' | 'maxAttestationsPerUid'
  >;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface LimitedCall {
  readonly peer: Pick<Peer, 'credentials'>;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

/** Refusals are given at the pace of answers, or whoever is refused would come back at once and keep the agent from others. */
const LONGEST_REFUSAL_MS = 10_000;

type CallRate = Pick<EndpointLimits, 'maxStreamsPerUid' | 'callsPerSecondPerUid'>;

interface CallBuckets {
  readonly perSecond: number;
  readonly burst: number;
  readonly answered: TokenBuckets<number>;
  readonly refused: TokenBuckets<number>;
}

export class CallLimits {
  readonly #options: CallLimitsOptions;
  readonly #refusals: RefusalLog<'streams' | 'calls'>;
  readonly #streams: CallerQuota;
  #buckets: CallBuckets;
  readonly #turns: AttestationTurns;

  constructor(options: CallLimitsOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options);
    this.#streams = new CallerQuota(() => options.limits.maxStreamsPerUid);
    this.#buckets = callBuckets(options.limits);
    this.#turns = new AttestationTurns(options.limits);
  }

  /** @throws BonafideError `resource_exhausted` when the user makes too many calls or has too many open; what `work` throws. */
  async within<Answer>(call: LimitedCall, work: () => Promise<Answer>): Promise<Answer> {
    const { uid } = call.peer.credentials;
    const leave = this.#streams.enter(uid);
    if (leave === undefined) {
      const why = `user ${uid} has ${this.#streams.limit} streams open, which is as many as one user may have`;
      throw this.#refuse('streams', call, `refused a stream: ${why}`, undefined);
    }
    try {
      await this.#checkRate(call); // a call that waits to be refused is open, too
      return await work();
    } finally {
      leave();
    }
  }

  /** For looking at the caller. @throws what `work` throws; BonafideError `cancelled` when the call is over before its turn has come. */
  async inTurn<Result>({ peer, signal }: LimitedCall, work: () => Promise<Result>): Promise<Result> {
    return this.#turns.run(peer.credentials.uid, signal, work);
  }

  async #checkRate(call: LimitedCall): Promise<void> {
    const { uid } = call.peer.credentials;
    const nowMs = this.#options.clock.monotonicMs();
    const { answered, perSecond, refused } = this.#currentBuckets();
    const { isTaken, waitMs } = answered.of(uid, nowMs).take(1, nowMs, 0);
    if (isTaken) return;
    const why = `user ${uid} makes more than ${perSecond} calls a second`;
    const refusal = this.#refuse('calls', call, `refused a call: ${why}`, waitMs);
    const pace = refused.of(uid, nowMs).take(1, nowMs, LONGEST_REFUSAL_MS);
    const delayMs = Math.min(pace.waitMs, LONGEST_REFUSAL_MS);
    if (delayMs > 0) await sleep(this.#options.clock, delayMs, call.signal);
    throw refusal;
  }

  /** Made anew when the limits are others than those for which they were made. */
  #currentBuckets(): CallBuckets {
    const { burst, perSecond } = callRate(this.#options.limits);
    if (perSecond !== this.#buckets.perSecond || burst !== this.#buckets.burst) {
      this.#buckets = callBuckets(this.#options.limits);
    }
    return this.#buckets;
  }

  #refuse(
    kind: 'streams' | 'calls',
    { peer, requestId }: LimitedCall,
    message: string,
    retryAfterMs: number | undefined,
  ): BonafideError {
    const { pid, uid } = peer.credentials;
    this.#refusals.warn(kind, { request_id: requestId, uid, pid }, message);
    const hint = retryAfterMs === undefined ? {} : { retryAfterMs };
    return new BonafideError('resource_exhausted', `${message} (request id ${requestId})`, hint);
  }
}

function callRate({ callsPerSecondPerUid: perSecond, maxStreamsPerUid }: CallRate): {
  readonly perSecond: number;
  readonly burst: number;
} {
  // All streams that a user may have can come back at once, as they do when the agent has restarted.
  return { perSecond, burst: Math.max(perSecond, maxStreamsPerUid) };
}

function callBuckets(limits: CallRate): CallBuckets {
  const { burst, perSecond } = callRate(limits);
  return {
    perSecond,
    burst,
    answered: new TokenBuckets({ tokensPerSecond: perSecond, burst }),
    refused: new TokenBuckets({ tokensPerSecond: perSecond, burst: perSecond }),
  };
}
