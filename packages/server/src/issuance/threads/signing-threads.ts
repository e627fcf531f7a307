/** The threads that sign workloads' X.509-SVIDs beside the main thread: lent the key that signs now, replaced when they die. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509SigningAuthority } from '../../authority/x509-signing-authority.js';
import { issuedX509Svid, type SigningOutcome, type X509SvidRequest } from '../x509-svid-request.js';
import {
  SigningThread,
  type LentAuthority,
  type ThreadAnswer,
  type ThreadProgram,
} from './signing-thread.js';

export interface SigningThreadsOptions {
  readonly trustDomain: TrustDomain;
  readonly threads: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly program?: ThreadProgram | undefined;
}

const PROGRAM: ThreadProgram = { file: new URL('signing-thread-main.js', import.meta.url) };
/** One batch being signed and one at hand, so that a thread never waits for the main thread. */
export const BATCHES_PER_THREAD = 2;
/** Between the death of a thread and the start of its successor. */
const REPLACEMENT = { initialMs: 100, maximumMs: 30_000 };

export class SigningThreads {
  readonly #options: SigningThreadsOptions;
  readonly #threads = new Set<SigningThread>();
  readonly #timers = new Set<Timer>();
  readonly #backoff = new Backoff(REPLACEMENT);
  #lent: { readonly authority: X509SigningAuthority; readonly as: LentAuthority } | undefined;
  #lastNumber = 0;
  #isClosed = false;

  /** They start side by side with the caller, who need not wait for them. */
  constructor(options: SigningThreadsOptions) {
    this.#options = options;
    for (let index = 0; index < options.threads; index += 1) this.#start();
  }

  /** How many of them can take batches. */
  get ready(): number {
    let ready = 0;
    for (const thread of this.#threads) if (thread.isReady) ready += 1;
    return ready;
  }

  /**
   * @returns undefined when the batch has to be signed where the key is: no thread is there, or the key may not leave its signer.
   * @throws BonafideError `unavailable` when the thread died of it, or with it; nothing of the batch was handed out.
   */
  sign(
    authority: X509SigningAuthority,
    requests: readonly X509SvidRequest[],
    now: Date,
  ): Promise<readonly SigningOutcome[]> | undefined {
    const thread = this.#leastLoaded();
    const lent = thread === undefined ? undefined : this.#lend(authority);
    if (thread === undefined || lent === undefined) return undefined;
    return thread.sign(lent, requests, now).then((answer) => {
      this.#backoff.reset();
      return outcomesOf(requests, answer, authority);
    });
  }

  /** To be told of each change of the authority that signs: the threads forget every other key at once. */
  retireAllBut(active: X509SigningAuthority): void {
    if (this.#lent === undefined || this.#lent.authority === active) return;
    const { number } = this.#lent.as;
    this.#lent = undefined;
    for (const thread of this.#threads) thread.retire(number);
  }

  /** At once; what is under way fails. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#lent = undefined;
    for (const timer of this.#timers) timer.cancel();
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  #lend(authority: X509SigningAuthority): LentAuthority | undefined {
    if (this.#lent?.authority === authority) return this.#lent.as;
    const key = authority.signer.keyForWorker?.();
    if (key === undefined) return undefined;
    this.retireAllBut(authority);
    this.#lastNumber += 1;
    const { certificate, notAfter } = authority;
    this.#lent = { authority, as: { number: this.#lastNumber, key, certificate, notAfter } };
    return this.#lent.as;
  }

  #leastLoaded(): SigningThread | undefined {
    let found: SigningThread | undefined;
    for (const thread of this.#threads) {
      if (!thread.isReady || thread.load >= BATCHES_PER_THREAD) continue;
      if (found === undefined || thread.load < found.load) found = thread;
    }
    return found;
  }

  #start(): void {
    const { trustDomain, clock, log, program = PROGRAM } = this.#options;
    const thread = new SigningThread({
      ...{ trustDomain, program, clock, log },
      onReady: () => {
        log.debug('a signing thread is ready');
      },
      onEnd: () => {
        this.#threads.delete(thread);
        if (!this.#isClosed) this.#replaceLater();
      },
    });
    this.#threads.add(thread);
  }

  #replaceLater(): void {
    const { clock, log } = this.#options;
    const delayMs = this.#backoff.nextDelayMs();
    log.warn({ retry_after_ms: Math.ceil(delayMs) }, 'a signing thread has ended and is replaced');
    const timer = clock.schedule(delayMs, () => {
      this.#timers.delete(timer);
      this.#start();
    });
    this.#timers.add(timer);
  }
}

function outcomesOf(
  requests: readonly X509SvidRequest[],
  { svids, refusals }: ThreadAnswer,
  authority: X509SigningAuthority,
): readonly SigningOutcome[] {
  const written = svids[Symbol.iterator]();
  let nextRefusal = 0;
  return requests.map((request, index): SigningOutcome => {
    const refusal = refusals[nextRefusal];
    if (refusal?.index === index) {
      nextRefusal += 1;
      const { reason, message } = refusal;
      return { kind: 'refused', error: reason ? new BonafideError(reason, message) : new Error(message) };
    }
    const next = written.next();
    if (next.done === true)
      throw new BonafideError('unavailable', 'a signing thread answered for fewer than it was given');
    return { kind: 'issued', svid: issuedX509Svid(request, next.value, authority) };
  });
}
