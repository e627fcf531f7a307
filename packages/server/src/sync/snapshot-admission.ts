/** Who may be sent a snapshot now: so many at once that neither memory nor the event loop suffers, the others in order of arrival. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface SnapshotPlace {
  readonly isAdmitted: boolean;
  /** Resolves to whether it may begin: false when the place was given up before its turn came. */
  readonly admitted: Promise<boolean>;
  /** To be called once done, or when it is no longer wanted; harmless when repeated. */
  leave(): void;
}

export interface SnapshotAdmissionOptions {
  readonly atOnce?: number;
  readonly mostWaiting?: number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

const AT_ONCE = 32;
const MOST_WAITING = 10_000;
const SHORTEST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 10_000;

export class SnapshotAdmission {
  readonly #atOnce: number;
  readonly #mostWaiting: number;
  readonly #random: () => number;
  readonly #waiting = new Set<() => void>();
  #underWay = 0;

  constructor({
    atOnce = AT_ONCE,
    mostWaiting = MOST_WAITING,
    random = Math.random,
  }: SnapshotAdmissionOptions = {}) {
    this.#atOnce = atOnce;
    this.#mostWaiting = mostWaiting;
    this.#random = random;
  }

  get underWay(): number {
    return this.#underWay;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** @throws BonafideError `resource_exhausted`, saying when to come back, if too many wait already. */
  request(): SnapshotPlace {
    if (this.#underWay >= this.#atOnce && this.#waiting.size >= this.#mostWaiting) {
      throw new BonafideError(
        'resource_exhausted',
        `${this.#waiting.size} agents wait for a snapshot already; try again later`,
        { retryAfterMs: retryAfterMs(this.#random()) },
      );
    }
    let state: 'waiting' | 'under way' | 'left' = 'waiting';
    let settle: (isAdmitted: boolean) => void = () => undefined;
    const admitted = new Promise<boolean>((resolve) => (settle = resolve));
    const begin = (): void => {
      state = 'under way';
      this.#underWay += 1;
      settle(true);
    };
    if (this.#underWay < this.#atOnce) begin();
    else this.#waiting.add(begin);
    return {
      get isAdmitted(): boolean {
        return state !== 'waiting';
      },
      admitted,
      leave: () => {
        if (state === 'under way') {
          this.#underWay -= 1;
          this.#admitNext();
        } else if (this.#waiting.delete(begin)) settle(false);
        state = 'left';
      },
    };
  }

  #admitNext(): void {
    for (const begin of this.#waiting) {
      this.#waiting.delete(begin);
      begin();
      return;
    }
  }
}

/** With jitter, so that those who were refused together do not come back together. */
export function retryAfterMs(random: number): number {
  return Math.round(SHORTEST_RETRY_MS + random * (LONGEST_RETRY_MS - SHORTEST_RETRY_MS));
}
