/** Whose turn it is to be attested: few at once, fewer of one user, and users that wait take turns, so that none waits behind another's crowd. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** Looked at whenever a turn may begin. */
export interface AttestationTurnsOptions {
  /** Each holds descriptors, and may hold an engine or a kubelet busy. */
  readonly maxAttestations: number;
  readonly maxAttestationsPerUid: number;
}

interface User {
  running: number;
  /** In the order in which they came; each starts one that waits. */
  readonly waiting: Set<() => void>;
}

export class AttestationTurns {
  readonly #options: AttestationTurnsOptions;
  readonly #users = new Map<number, User>();
  /** Users of whom someone waits, the next first. */
  readonly #queue = new Set<number>();
  #running = 0;

  constructor(options: AttestationTurnsOptions) {
    this.#options = options;
  }

  /** How many users are running or waiting. */
  get size(): number {
    return this.#users.size;
  }

  /** @throws what `work` throws; BonafideError `cancelled` when the signal fires before its turn has come. */
  async run<Result>(uid: number, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    await this.#turn(uid, signal);
    try {
      return await work();
    } finally {
      this.#leave(uid);
    }
  }

  #turn(uid: number, signal: AbortSignal): Promise<void> {
    const user = this.#users.get(uid) ?? { running: 0, waiting: new Set() };
    this.#users.set(uid, user);
    return new Promise((resolve, reject) => {
      const start = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        user.waiting.delete(start);
        this.#forget(uid, user);
        reject(new BonafideError('cancelled', 'the caller went away before it was attested'));
      };
      if (signal.aborted) {
        onAbort();
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      user.waiting.add(start);
      this.#queue.add(uid);
      this.#startNext();
    });
  }

  #leave(uid: number): void {
    const user = this.#users.get(uid);
    this.#running -= 1;
    if (user !== undefined) {
      user.running -= 1;
      this.#forget(uid, user);
    }
    this.#startNext();
  }

  #startNext(): void {
    const { maxAttestations: atOnce, maxAttestationsPerUid: atOncePerUid } = this.#options;
    // Passed over are only users who run as many as one may: not more than `atOnce / atOncePerUid` of them.
    for (const uid of this.#queue) {
      if (this.#running >= atOnce) return;
      const user = this.#users.get(uid);
      if (user === undefined || user.running >= atOncePerUid) continue;
      const [start] = user.waiting;
      this.#queue.delete(uid);
      if (start === undefined) continue;
      user.waiting.delete(start);
      if (user.waiting.size > 0) this.#queue.add(uid); // at the end, where this loop comes by again
      user.running += 1;
      this.#running += 1;
      start();
    }
  }

  #forget(uid: number, user: User): void {
    if (user.waiting.size === 0) this.#queue.delete(uid);
    if (user.waiting.size === 0 && user.running === 0) this.#users.delete(uid);
  }
}
