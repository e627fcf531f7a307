/** How long a token is handed out: replaced from half its life on, and never given away when less than a quarter of it is left. */
import type { Clock } from '@bonafide/shared/runtime/clock';

interface Validity {
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export class TokenLife {
  readonly #clock: Clock;
  readonly #receivedAt: Date;
  readonly #receivedMs: number;
  readonly #lifetimeMs: number;

  /** Begins now: authorities backdate tokens. One that is issued in the future tells how far this clock is behind the server's. */
  constructor({ issuedAt, expiresAt }: Validity, clock: Clock) {
    this.#clock = clock;
    this.#receivedAt = clock.now();
    this.#receivedMs = clock.monotonicMs();
    const behindMs = Math.max(0, issuedAt.getTime() - this.#receivedAt.getTime());
    this.#lifetimeMs = Math.max(0, expiresAt.getTime() - behindMs - this.#receivedAt.getTime());
  }

  /** A newer one should be asked for. */
  get isDue(): boolean {
    return this.#elapsedMs >= this.#lifetimeMs / 2;
  }

  /** It may be handed out if a newer one cannot be had: whoever gets it has a quarter of a life to use it. */
  get isUsable(): boolean {
    return this.#elapsedMs < (this.#lifetimeMs * 3) / 4;
  }

  /** As far as the wall clock goes on as it does. */
  get usableUntil(): Date {
    return new Date(this.#receivedAt.getTime() + (this.#lifetimeMs * 3) / 4);
  }

  /** By whichever clock says more: one may be set back, the other stands still while the machine sleeps. */
  get #elapsedMs(): number {
    const wallMs = this.#clock.now().getTime() - this.#receivedAt.getTime();
    return Math.max(wallMs, this.#clock.monotonicMs() - this.#receivedMs);
  }
}
