/**
 * When the agent may go back to its bootstrap source: the server has been one that the bundle does not vouch for, without a break, for
 * longer than the operator allows (SPIRE's rebootstrap_mode and rebootstrap_delay).
 */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { isUnknownAuthority } from './explain-failure.js';

export const REBOOTSTRAP_MODES = ['never', 'auto', 'always'] as const;
export type RebootstrapMode = (typeof REBOOTSTRAP_MODES)[number];

interface RebootstrapOptions {
  readonly mode: RebootstrapMode;
  readonly delaySeconds: number;
  /** The time has come: the node is to be attested anew, which will begin at the bootstrap source. */
  readonly onDue: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Rebootstrap {
  readonly #options: RebootstrapOptions;
  #mode: RebootstrapMode;
  /** Monotonic: when the server was first seen under an authority that we do not know. */
  #strangeSinceMs: number | undefined;
  #isDue = false;

  constructor(options: RebootstrapOptions) {
    this.#options = options;
    this.#mode = options.mode;
  }

  get isEnabled(): boolean {
    return this.#mode !== 'never';
  }

  /** Whether the next attestation is to believe what the bootstrap source says, in place of the bundle that is held. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /**
   * To be told how the agent was attested: only one that can attest again comes back by itself.
   * @throws BonafideError `failed_precondition` when that is what the operator demands.
   */
  review(canReattest: boolean): void {
    if (canReattest || this.#mode === 'never') return;
    const why = 'this agent cannot attest again with the evidence that it has';
    if (this.#mode === 'always') {
      throw new BonafideError(
        'failed_precondition',
        `rebootstrap_mode is always, but ${why}; expected auto or never, or another node attestor`,
      );
    }
    this.#mode = 'never';
    this.#options.log.warn(`rebootstrap_mode is auto, but ${why}: a lost root is for an operator to repair`);
  }

  /** To be told of every failure of a call to the server. */
  observe(error: unknown): void {
    if (!this.isEnabled || !isUnknownAuthority(error)) return;
    const { clock, delaySeconds, log, onDue } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#strangeSinceMs === undefined) {
      this.#strangeSinceMs = nowMs;
      log.warn(
        { rebootstrapInSeconds: delaySeconds },
        'the server has a certificate for which the trust bundle does not vouch; unless that changes the agent will bootstrap anew',
      );
    }
    if (this.#isDue || nowMs - this.#strangeSinceMs < delaySeconds * 1000) return;
    this.#isDue = true;
    log.warn(
      { delaySeconds },
      'the trust bundle has not vouched for the server for the whole delay; bootstrapping anew',
    );
    onDue();
  }

  /** A server that is believed has answered. */
  confirm(): void {
    this.#strangeSinceMs = undefined;
    this.#isDue = false;
  }
}
