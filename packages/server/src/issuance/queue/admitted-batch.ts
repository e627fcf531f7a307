/** A batch on its way through the queue: what of it is still to be made, what came of the rest, and who waits for it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { SigningOutcome, X509SvidRequest } from '../x509-svid-request.js';
import type { Urgency } from './urgency.js';
import type { WaitingBatch } from './waiting-batches.js';

export interface AdmittedBatchOptions {
  readonly caller: SpiffeId;
  readonly urgency: Urgency;
  readonly bytes: number;
  /** Monotonic: when the caller stops waiting. */
  readonly deadlineMs: number;
}

export class AdmittedBatch implements WaitingBatch {
  readonly caller: SpiffeId;
  readonly urgency: Urgency;
  readonly bytes: number;
  readonly size: number;
  /** Of every item, in their order. */
  readonly outcomes: Promise<readonly SigningOutcome[]>;
  readonly #deadlineMs: number;
  readonly #settled: SigningOutcome[] = [];
  #requests: readonly (() => X509SvidRequest)[];
  #left: number;
  #resolve: (outcomes: readonly SigningOutcome[]) => void = () => undefined;
  #reject: (error: BonafideError) => void = () => undefined;

  constructor(requests: readonly (() => X509SvidRequest)[], options: AdmittedBatchOptions) {
    this.caller = options.caller;
    this.urgency = options.urgency;
    this.bytes = options.bytes;
    this.size = requests.length;
    this.#deadlineMs = options.deadlineMs;
    this.#requests = requests;
    this.#left = requests.length;
    this.outcomes = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Nobody waits for it any more, or all of it is done. */
  get isOver(): boolean {
    return this.#left === 0;
  }

  /** @returns undefined when there is nothing to sign: the item is refused, or the batch is over. */
  begin(index: number, nowMs: number): X509SvidRequest | undefined {
    if (this.isOver) return undefined;
    if (nowMs >= this.#deadlineMs) {
      this.fail(new BonafideError('deadline_exceeded', 'the call waited in the queue until its deadline'));
      return undefined;
    }
    try {
      return this.#requests[index]?.();
    } catch (error) {
      this.settle(index, { kind: 'refused', error });
      return undefined;
    }
  }

  /** Once for each item. */
  settle(index: number, outcome: SigningOutcome): void {
    if (this.isOver) return;
    this.#settled[index] = outcome;
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#requests = [];
    this.#resolve(this.#settled);
  }

  /** All of it. */
  fail(error: BonafideError): void {
    if (this.isOver) return;
    this.#left = 0;
    this.#requests = [];
    this.#reject(error);
  }
}
