/** Rotates the authorities of one kind when it is time, and gives an operator's wishes their turn in between. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TellOwnAct } from '../audit/own-acts.js';
import type { AuthorityRecord } from '../store/authority-record.js';
import type { AuthoritySlots } from './authority-slots.js';
import { nextRotation } from './next-rotation.js';

export interface RotationLoopOptions<Authority extends AuthorityRecord> {
  readonly slots: AuthoritySlots<Authority>;
  readonly clock: Clock;
  readonly log: Logger;
  /** In words, as in `X.509 authority`. */
  readonly words: string;
  readonly tell?: TellOwnAct | undefined;
}

/** Timers count seconds that pass, not the wall clock, which may be set; look again this often. */
const LONGEST_WAIT_MS = 30_000;
/** From any state two actions lead to `wait`; more would mean that what we wrote is not what we read. */
const MAX_ACTIONS = 4;

/** What keeps an authority from being rotated that is due. */
export interface RotationProblem {
  readonly since: Date;
  /** Safe to show. */
  readonly message: string;
}

export class RotationLoop<Authority extends AuthorityRecord> {
  readonly #options: RotationLoopOptions<Authority>;
  readonly #backoff = new Backoff({ initialMs: 1000, maximumMs: 60_000 });
  #timer: Timer | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #signal: AbortSignal = new AbortController().signal;
  #problem: RotationProblem | undefined;

  constructor(options: RotationLoopOptions<Authority>) {
    this.#options = options;
  }

  /**
   * Takes up where the last run left off, so that an authority is active when this resolves; then rotates until the signal fires. What
   * cannot be done yet is tried again, as long as there is an authority that can sign.
   * @throws BonafideError when there is none and none can be made.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { slots } = this.#options;
    this.#signal = signal;
    await slots.load();
    let delayMs;
    try {
      await this.rotate();
      delayMs = this.#delayMs();
    } catch (error) {
      if (!slots.canSign()) throw error;
      delayMs = this.#backoff.nextDelayMs();
    }
    await slots.deleteForgottenKeys();
    signal.addEventListener('abort', () => this.#timer?.cancel(), { once: true });
    this.#schedule(delayMs);
  }

  /** Undefined while all that is due is done. */
  get problem(): RotationProblem | undefined {
    return this.#problem;
  }

  /** Does now what is due by now. The timer calls it; tests with their own clock may. */
  rotate(): Promise<void> {
    return this.take(async () => {
      try {
        await this.#rotate();
      } catch (error) {
        this.#failed(error);
        throw error;
      }
      this.#succeeded();
    });
  }

  /** Runs `work` while nothing rotates. */
  take<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(() => work(this.#signal));
    this.#turn = turn.catch(() => undefined); // the caller hears of it
    return turn;
  }

  async #rotate(): Promise<void> {
    const { slots, clock, words } = this.#options;
    await slots.catchUp();
    for (let actions = 0; ; actions += 1) {
      const action = nextRotation(slots.rotationState(), clock.now());
      if (action.kind === 'wait') break;
      if (actions === MAX_ACTIONS) {
        throw new BonafideError('internal', `the rotation of the ${words} does not come to rest`);
      }
      await this.#act(action.kind);
    }
    await slots.prune();
  }

  async #act(action: 'prepare' | 'activate'): Promise<void> {
    const { slots, words: kind, tell } = this.#options;
    const revision = await (action === 'prepare' ? slots.prepare(this.#signal) : slots.activate());
    const slot = action === 'prepare' ? 'prepared' : 'active';
    const subject = { authorityId: slots.in(slot).at(-1)?.authorityId };
    await tell?.(`authority_${slot === 'active' ? 'activated' : slot}`, {
      subject,
      revision,
      details: { kind },
    });
  }

  #schedule(delayMs: number): void {
    if (this.#signal.aborted) return;
    this.#timer = this.#options.clock.schedule(delayMs, () => {
      this.rotate().then(
        () => {
          this.#backoff.reset();
          this.#schedule(this.#delayMs());
        },
        () => {
          this.#schedule(this.#backoff.nextDelayMs());
        },
      );
    });
  }

  /** Once for each problem, however often it is tried again. */
  #failed(error: unknown): void {
    const { clock, log, words } = this.#options;
    const message = error instanceof BonafideError ? error.message : 'an unexpected error, see the log';
    if (this.#problem?.message === message) {
      log.debug({ err: error }, `still cannot rotate the ${words}`);
      return;
    }
    this.#problem = { since: this.#problem?.since ?? clock.now(), message };
    log.error({ err: error }, `cannot rotate the ${words}, trying again: ${errorMessage(error)}`);
  }

  #succeeded(): void {
    const { log, words } = this.#options;
    if (this.#problem !== undefined)
      log.info({ since: this.#problem.since.toISOString() }, `the ${words} can be rotated again`);
    this.#problem = undefined;
  }

  #delayMs(): number {
    const { slots, clock } = this.#options;
    const now = clock.now();
    const action = nextRotation(slots.rotationState(), now);
    const dueMs = action.kind === 'wait' ? action.until.getTime() - now.getTime() : 0;
    return Math.min(Math.max(dueMs, 100), LONGEST_WAIT_MS);
  }
}
