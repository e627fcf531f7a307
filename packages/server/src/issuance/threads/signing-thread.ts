/** One signing thread as the main thread sees it: authorities lent to it, batches under way, and its end. */
import { Worker } from 'node:worker_threads';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WrittenX509Svid, X509SvidRequest } from '../x509-svid-request.js';
import { packRequests } from './packed-requests.js';
import { unpackSvids } from './packed-svids.js';
import type { FromThread, Refusal, ThreadData, ToThread } from './thread-messages.js';

/** How the program of a thread is started; tests start it from its source. */
export interface ThreadProgram {
  readonly file: URL;
  readonly argv?: string[];
  readonly execArgv?: string[];
}

export interface SigningThreadOptions {
  readonly trustDomain: TrustDomain;
  readonly program: ThreadProgram;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called once, however it ended. */
  readonly onEnd: () => void;
  /** It can take batches. */
  readonly onReady: () => void;
}

/** An authority by the number under which threads know it. */
export type LentAuthority = Omit<Extract<ToThread, { kind: 'authority' }>, 'kind'>;

export interface ThreadAnswer {
  /** In the order of the requests, without those that were refused. */
  readonly svids: Iterable<WrittenX509Svid>;
  readonly refusals: readonly Refusal[];
}

interface Pending {
  readonly resolve: (answer: ThreadAnswer) => void;
  readonly reject: (error: BonafideError) => void;
}

/** A thread that is silent this long with work before it is stopped. */
const SILENCE_MS = 30_000;

export class SigningThread {
  readonly #options: SigningThreadOptions;
  readonly #worker: Worker;
  readonly #authorities = new Set<number>();
  readonly #pending = new Map<number, Pending>();
  #lastBatch = 0;
  #isReady = false;
  #watch: Timer | undefined;

  constructor(options: SigningThreadOptions) {
    this.#options = options;
    const { file, ...how } = options.program;
    const workerData: ThreadData = { trustDomain: options.trustDomain };
    this.#worker = new Worker(file, { ...how, workerData });
    this.#worker.on('message', (message: FromThread) => {
      this.#receive(message);
    });
    this.#worker.on('messageerror', () => void this.#worker.terminate());
    this.#worker.on('error', (error) => {
      options.log.error({ err: error }, 'a signing thread failed');
    });
    this.#worker.once('exit', () => {
      this.#end();
    });
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Batches under way. */
  get load(): number {
    return this.#pending.size;
  }

  /** @throws BonafideError `unavailable` when the thread ended before it answered, or does not have the key. */
  sign(authority: LentAuthority, requests: readonly X509SvidRequest[], now: Date): Promise<ThreadAnswer> {
    if (!this.#authorities.has(authority.number)) {
      this.#authorities.add(authority.number);
      this.#send({ kind: 'authority', ...authority });
    }
    this.#lastBatch += 1;
    const batch = this.#lastBatch;
    const packed = packRequests(requests);
    return new Promise((resolve, reject) => {
      this.#pending.set(batch, { resolve, reject });
      if (this.#watch === undefined) this.#listen();
      const message = { kind: 'batch', batch, authority: authority.number, now, requests: packed } as const;
      this.#send(message, [packed.buffer as ArrayBuffer]);
    });
  }

  /** Batches that it was given before are still signed. */
  retire(number: number): void {
    if (this.#authorities.delete(number)) this.#send({ kind: 'retire', number });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #send(message: ToThread, handedOver: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, handedOver);
  }

  #receive(message: FromThread): void {
    if (message.kind === 'ready') {
      this.#isReady = true;
      this.#options.onReady();
      return;
    }
    const pending = this.#pending.get(message.batch);
    this.#pending.delete(message.batch);
    this.#listen();
    if (message.kind === 'batch') {
      pending?.resolve({ svids: unpackSvids(message.svids), refusals: message.refusals });
    } else {
      pending?.reject(new BonafideError('unavailable', 'the signing thread does not know the authority'));
    }
  }

  /** Waits for the next word of a thread that has work. */
  #listen(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    if (this.#pending.size === 0) return;
    this.#watch = this.#options.clock.schedule(SILENCE_MS, () => {
      this.#options.log.error('a signing thread is silent and is stopped');
      void this.#worker.terminate();
    });
  }

  #end(): void {
    this.#isReady = false;
    this.#watch?.cancel();
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    this.#options.onEnd();
    for (const { reject } of lost) reject(new BonafideError('unavailable', 'the signing thread has ended'));
  }
}
