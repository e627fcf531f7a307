/** Issues workloads' X.509-SVIDs batch by batch: admitted or sent back at the door, signed by urgency, on signing threads where there are any. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SigningAuthorities } from '../authority/x509-signing-authority.js';
import { AdmittedBatch } from './queue/admitted-batch.js';
import { DrainRate } from './queue/drain-rate.js';
import { ADMITTED_SHARE, urgencyOf } from './queue/urgency.js';
import { WaitingBatches, type Turn } from './queue/waiting-batches.js';
import { SIGNING_WINDOW } from './signing-window.js';
import { tracedBatch } from './traced-batch.js';
import { BATCHES_PER_THREAD, type SigningThreads } from './threads/signing-threads.js';
import type {
  SigningCall,
  SigningOutcome,
  X509SvidBatchIssuer,
  X509SvidIssuer,
  X509SvidRequest,
} from './x509-svid-request.js';

export interface X509SvidBatchIssuanceOptions {
  readonly authorities: SigningAuthorities;
  readonly clock: Clock;
  readonly log: Logger;
  /** Signs what no thread can: all of it when there are none. */
  readonly mainThread: X509SvidIssuer;
  readonly threads?: SigningThreads | undefined;
  readonly limits?: QueueLimits;
  readonly random?: () => number;
}

export interface QueueLimits {
  /** Items that wait, in all and of one caller. */
  readonly items: number;
  readonly itemsOfCaller: number;
  /** Memory that CSRs hold while they wait. */
  readonly bytes: number;
}

/** A few seconds of work: whoever would wait longer is better told when to come back. */
const LIMITS: QueueLimits = { items: 20_000, itemsOfCaller: 5_000, bytes: 64 * 1024 * 1024 };
/** What a thread is handed at once: some 5 ms of work, so that something urgent soon has its turn. */
const ITEMS_PER_HANDOVER = 32;
/** An urgent batch is not sent away for longer than this part of the life that it has left. */
const SHARE_OF_LIFE_LEFT = 0.25;
const SHORTEST_URGENT_RETRY_MS = 1000;

export class X509SvidBatchIssuance implements X509SvidBatchIssuer {
  readonly #options: X509SvidBatchIssuanceOptions;
  readonly #limits: QueueLimits;
  readonly #waiting = new WaitingBatches<AdmittedBatch>();
  readonly #rate: DrainRate;
  #underWay = 0;
  #isClosed = false;

  constructor(options: X509SvidBatchIssuanceOptions) {
    const { limits = LIMITS, random = Math.random } = options;
    this.#options = options;
    this.#limits = limits;
    this.#rate = new DrainRate(random);
  }

  async issueBatch(
    requests: readonly (() => X509SvidRequest)[],
    call: SigningCall,
  ): Promise<readonly SigningOutcome[]> {
    if (requests.length === 0) return [];
    this.#admit(requests.length, call);
    const deadlineMs = this.#options.clock.monotonicMs() + call.patienceMs;
    return tracedBatch(requests, (traced) => this.#issueAdmitted(traced, call, deadlineMs));
  }

  async #issueAdmitted(
    requests: readonly (() => X509SvidRequest)[],
    call: SigningCall,
    deadlineMs: number,
  ): Promise<readonly SigningOutcome[]> {
    const batch = new AdmittedBatch(requests, { ...call, deadlineMs, urgency: urgencyOf(call.secondsLeft) });
    const leave = (): void => {
      this.#waiting.remove(batch);
      batch.fail(new BonafideError('cancelled', 'the caller has gone'));
    };
    call.signal.addEventListener('abort', leave, { once: true });
    try {
      this.#waiting.add(batch);
      this.#handOut();
      return await batch.outcomes;
    } finally {
      call.signal.removeEventListener('abort', leave);
    }
  }

  /** SVIDs that wait to be signed; those that are being signed are not counted. */
  get waiting(): number {
    return this.#waiting.items;
  }

  /** Whoever waits is told to go to another server; nothing is admitted any more. */
  close(): void {
    this.#isClosed = true;
    for (const batch of this.#waiting.clear()) batch.fail(closing());
  }

  /** @throws BonafideError when the batch cannot be done in time. */
  #admit(size: number, { caller, secondsLeft, patienceMs, bytes, signal }: SigningCall): void {
    if (this.#isClosed) throw closing();
    if (signal.aborted) throw new BonafideError('cancelled', 'the caller has gone');
    const urgency = urgencyOf(secondsLeft);
    const { items, bytes: mostBytes, itemsOfCaller } = this.#limits;
    const share = ADMITTED_SHARE[urgency];
    const waiting = this.#waiting;
    // A batch that is larger than its share of the queue is let in when nothing else is there.
    const isFull =
      waiting.items > 0 &&
      (waiting.items + size > items * share || waiting.bytes + bytes > mostBytes * share);
    const ofCaller = waiting.itemsOf(caller);
    if (isFull || (ofCaller > 0 && ofCaller + size > itemsOfCaller)) {
      throw this.#sentBack(size, secondsLeft, 'too many SVIDs are waiting to be signed');
    }
    const isRateKnown = this.#rate.perSecond !== undefined;
    if (isRateKnown && this.#rate.waitMs(waiting.itemsBefore(urgency) + size) > patienceMs) {
      throw this.#sentBack(size, secondsLeft, 'the SVIDs cannot be signed before the deadline of the call');
    }
  }

  #sentBack(size: number, secondsLeft: number | undefined, problem: string): BonafideError {
    const inTurnMs = this.#rate.retryAfterMs(size, this.#options.clock.monotonicMs());
    const urgentMs =
      secondsLeft === undefined
        ? Infinity
        : Math.max(SHORTEST_URGENT_RETRY_MS, secondsLeft * 1000 * SHARE_OF_LIFE_LEFT);
    const retryAfterMs = Math.min(inTurnMs, urgentMs);
    return new BonafideError('resource_exhausted', `${problem}; try again in ${retryAfterMs} ms`, {
      retryAfterMs,
    });
  }

  /** To whoever is free: a place of the thread pool takes one item, a signing thread a handful. */
  #handOut(): void {
    for (;;) {
      const threads = this.#options.threads?.ready ?? 0;
      const places = threads === 0 ? SIGNING_WINDOW : threads * BATCHES_PER_THREAD;
      if (this.#underWay >= places) return;
      const turns = this.#waiting.take(threads === 0 ? 1 : ITEMS_PER_HANDOVER);
      if (turns.length === 0) {
        if (this.#underWay === 0) this.#rate.pause();
        return;
      }
      this.#underWay += 1;
      void this.#serve(turns).finally(() => {
        this.#underWay -= 1;
        this.#rate.record(turns.length, this.#options.clock.monotonicMs());
        this.#handOut();
      });
    }
  }

  /** Never rejects: what fails is the outcome of each item that it concerns. */
  async #serve(turns: readonly Turn<AdmittedBatch>[]): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    const signing: Turn<AdmittedBatch>[] = [];
    const requests: X509SvidRequest[] = [];
    for (const turn of turns) {
      const request = turn.batch.begin(turn.index, nowMs);
      if (request === undefined) this.#dropIfOver(turn.batch);
      else {
        signing.push(turn);
        requests.push(request);
      }
    }
    if (requests.length === 0) return;
    let outcomes: readonly SigningOutcome[];
    try {
      outcomes = await this.#sign(requests);
    } catch (error) {
      outcomes = requests.map(() => ({ kind: 'refused', error }));
    }
    signing.forEach(({ batch, index }, position) => {
      const outcome = outcomes[position];
      if (outcome !== undefined) batch.settle(index, outcome);
    });
  }

  async #sign(requests: readonly X509SvidRequest[]): Promise<readonly SigningOutcome[]> {
    const { authorities, threads, clock, log } = this.#options;
    try {
      const signed = await threads?.sign(authorities.activeX509(), requests, clock.now());
      if (signed !== undefined) return signed;
    } catch (error) {
      if (this.#isClosed) throw closing();
      // A thread that died, or an authority that is not there: signing here says which, for each item.
      log.warn({ reason: errorMessage(error) }, 'a signing thread did not sign; the main thread does');
    }
    return this.#signHere(requests);
  }

  #signHere(requests: readonly X509SvidRequest[]): Promise<SigningOutcome[]> {
    return Promise.all(
      requests.map(async (request): Promise<SigningOutcome> => {
        try {
          return { kind: 'issued', svid: await this.#options.mainThread.issue(request) };
        } catch (error) {
          return { kind: 'refused', error };
        }
      }),
    );
  }

  #dropIfOver(batch: AdmittedBatch): void {
    if (batch.isOver) this.#waiting.remove(batch);
  }
}

function closing(): BonafideError {
  return new BonafideError('unavailable', 'the server is shutting down');
}
