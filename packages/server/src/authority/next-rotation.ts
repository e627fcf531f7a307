/** When a signing authority is followed by the next one: a pure function of what there is and the time; SPIRE's thresholds. */

/** Of an authority that is prepared or active. */
export interface RotatingAuthority {
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** False when its key is lost, or when it is tainted: it must not sign, or no longer. */
  readonly isUsable: boolean;
}

export interface RotationState {
  readonly prepared: RotatingAuthority | undefined;
  readonly active: RotatingAuthority | undefined;
}

export type RotationAction =
  /** Make a key and a certificate and publish them, in place of a prepared authority that is of no use. */
  | { readonly kind: 'prepare' }
  /** Let the prepared authority sign; the active one becomes old. */
  | { readonly kind: 'activate' }
  /** Nothing before `until`. */
  | { readonly kind: 'wait'; readonly until: Date };

const DAY_MS = 24 * 3600 * 1000;
const LONGEST_PREPARATION_MS = 30 * DAY_MS;
const LONGEST_ACTIVATION_MS = 7 * DAY_MS;

/** Published this long before it signs, every validator has heard of it: at half of the active one's life, at most 30 days before its end. */
export function preparationTime({ notBefore, notAfter }: RotatingAuthority): Date {
  return beforeEnd(notBefore, notAfter, 2, LONGEST_PREPARATION_MS);
}

/** At five sixths of its life, at most 7 days before its end: SVIDs may last for a sixth of their authority's life and are not cut. */
export function activationTime({ notBefore, notAfter }: RotatingAuthority): Date {
  return beforeEnd(notBefore, notAfter, 6, LONGEST_ACTIVATION_MS);
}

/** Applied again after each action until it says `wait`; from any state that takes two actions at most. */
export function nextRotation({ prepared, active }: RotationState, now: Date): RotationAction {
  // One that is itself due to be followed would only have to be followed at once.
  const hasPrepared = prepared !== undefined && canSign(prepared, now) && now < activationTime(prepared);
  if (active === undefined || !canSign(active, now) || now >= activationTime(active)) {
    return { kind: hasPrepared ? 'activate' : 'prepare' };
  }
  if (hasPrepared) return { kind: 'wait', until: activationTime(active) };
  const preparation = preparationTime(active);
  return now >= preparation ? { kind: 'prepare' } : { kind: 'wait', until: preparation };
}

/** One that begins in the future was made before the clock was set back; nobody would accept what it signs. */
function canSign({ notBefore, notAfter, isUsable }: RotatingAuthority, now: Date): boolean {
  return isUsable && notBefore <= now && now < notAfter;
}

function beforeEnd(notBefore: Date, notAfter: Date, divisor: number, longestMs: number): Date {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  return new Date(notAfter.getTime() - Math.min(lifetimeMs / divisor, longestMs));
}
