/** Tells the server now and then which selectors of this agent's own entries processes have presented; of other selectors nothing leaves. */
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import type { Logger } from '@bonafide/shared/runtime/logger';

interface SelectorSightingsOptions {
  /** All that the server has sent. */
  readonly entries: () => readonly RegistrationEntry[];
  readonly report: (selectors: readonly Selector[], signal: AbortSignal) => Promise<void>;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const MOST_PENDING = 4_096;
/** What the server takes in one report. */
const MOST_REPORTED = 1_000;
const FIRST_PAUSE_MS = 5_000;
const PAUSE_MS = 180_000;
/** What is seen all the time is told of once in so long. */
const AGAIN_AFTER_MS = 24 * 3_600_000;

export class SelectorSightings {
  readonly #options: SelectorSightingsOptions;
  readonly #alarm: Alarm;
  readonly #pending = new Map<string, Selector>();
  /** By selector, in monotonic time. */
  readonly #reportedAt = new Map<string, number>();
  #isOff = false;

  constructor(options: SelectorSightingsOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock);
  }

  /** To be called with the selectors of each process that was attested; costs a look-up for each. */
  attested(selectors: readonly Selector[]): void {
    if (this.#isOff) return;
    const nowMs = this.#options.clock.monotonicMs();
    for (const selector of selectors) {
      const text = formatSelector(selector);
      const reportedAt = this.#reportedAt.get(text);
      if (reportedAt !== undefined && nowMs - reportedAt < AGAIN_AFTER_MS) continue;
      if (this.#pending.size >= MOST_PENDING) return;
      this.#pending.set(text, selector);
      this.#alarm.ring();
    }
  }

  /** Works until the signal fires, and then resolves; ends early at a server that does not want to know. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    while (!isAborted(signal) && !this.#isOff) {
      await this.#alarm.wait(undefined, signal);
      if (this.#pending.size === 0) continue;
      await sleep(clock, pauseMs * (1 + random()), signal).catch(() => undefined); // the loop ends with its signal
      if (isAborted(signal)) return;
      await this.#report(signal);
      pauseMs = PAUSE_MS;
    }
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { clock, entries, log, report } = this.#options;
    const known = new Set<string>();
    for (const entry of entries()) for (const each of entry.selectors) known.add(formatSelector(each));
    const seen = [...this.#pending].filter(([text]) => known.has(text)).slice(0, MOST_REPORTED);
    this.#pending.clear();
    for (const text of this.#reportedAt.keys()) if (!known.has(text)) this.#reportedAt.delete(text);
    if (seen.length === 0) return;
    try {
      await report(
        seen.map(([, selector]) => selector),
        signal,
      );
      const nowMs = clock.monotonicMs();
      for (const [text] of seen) this.#reportedAt.set(text, nowMs);
    } catch (error) {
      if (hasReason(error, 'unimplemented')) {
        this.#isOff = true;
        log.debug('the server takes no note of selectors that are seen');
        return;
      }
      // They are seen again, or it is no loss.
      log.debug({ problem: errorMessage(error) }, 'cannot tell the server which selectors were seen');
    }
  }
}
