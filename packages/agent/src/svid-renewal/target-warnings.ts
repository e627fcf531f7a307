/** Says once of each entry that its SVIDs are too short for the availability target that is configured. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { canMeetTarget } from './renewal-time.js';

/** Ids that one line of the log names. */
const MOST_NAMED = 10;

export class TargetWarnings {
  readonly #targetSeconds: number | undefined;
  readonly #log: Logger;
  readonly #warned = new Set<string>();

  constructor({ targetSeconds, log }: { readonly targetSeconds: number | undefined; readonly log: Logger }) {
    this.#targetSeconds = targetSeconds;
    this.#log = log;
  }

  /** To be called with each batch that was obtained. */
  review(
    obtained: readonly { readonly entry: RegistrationEntry; readonly svid: X509Svid }[],
    now: Date,
  ): void {
    const target = this.#targetSeconds;
    if (target === undefined) return;
    const short = obtained.filter(({ entry, svid }) => {
      const isShort = !canMeetTarget(svid.notAfter.getTime() - now.getTime(), target);
      if (!isShort) this.#warned.delete(entry.id);
      return isShort && !this.#warned.has(entry.id);
    });
    if (short.length === 0) return;
    for (const { entry } of short) this.#warned.add(entry.id);
    this.#log.warn(
      {
        count: short.length,
        availabilityTargetSeconds: target,
        entries: short.slice(0, MOST_NAMED).map(({ entry }) => ({ id: entry.id, spiffeId: entry.spiffeId })),
      },
      'X509-SVIDs of some entries cannot meet the availability target and are renewed at half life; their TTL, and that of the authority, must exceed the target by more than 12h',
    );
  }

  forget(entryId: string): void {
    this.#warned.delete(entryId);
  }
}
