/** How it stands with the X.509-SVID of an entry that matches a process. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { RenewalProgress } from '../svid-renewal/renewal-book.js';

export type SvidState =
  | 'held'
  /** Held, and being replaced. */
  | 'renewing'
  | 'signing'
  | 'failed'
  /** It ran out before another could be obtained. */
  | 'expired'
  /** One is obtained as soon as the process asks. */
  | 'on_demand';

export interface MatchedEntry {
  readonly entry: RegistrationEntry;
  readonly state: SvidState;
  readonly svidExpiresAt: Date | undefined;
  readonly nextAttempt: Date | undefined;
  readonly problem: string | undefined;
}

/** @param progress undefined: no SVID is wanted for the entry now. */
export function matchedEntry(
  entry: RegistrationEntry,
  svid: X509Svid | undefined,
  progress: RenewalProgress | undefined,
  now: Date,
): MatchedEntry {
  return {
    entry,
    state: stateOf(svid, progress, now),
    svidExpiresAt: svid?.notAfter,
    nextAttempt: progress?.nextAttempt,
    problem: progress?.problem,
  };
}

/** Whether the Workload API hands out an X.509-SVID for it. */
export function isServed({ state }: MatchedEntry): boolean {
  return state === 'held' || state === 'renewing';
}

function stateOf(svid: X509Svid | undefined, progress: RenewalProgress | undefined, now: Date): SvidState {
  if (svid !== undefined && svid.notAfter > now) return progress?.isQueued === true ? 'renewing' : 'held';
  if (svid !== undefined || progress?.hasLapsed === true) return 'expired';
  if (progress === undefined) return 'on_demand';
  return progress.problem === undefined ? 'signing' : 'failed';
}
