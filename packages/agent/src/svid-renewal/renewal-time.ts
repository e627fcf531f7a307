/** When an X.509-SVID is to be renewed: around the middle of its life, spread out so that many do not fall due together. */

/** A renewal by availability target must leave at least this much of the lifetime in use, otherwise half the lifetime counts. */
const LEAST_GRACE_MS = 12 * 3600_000;
const TARGET_SPREAD_MS = 600_000;

export interface RenewalPolicy {
  /** How long before its end an SVID is to be replaced; undefined: half its lifetime. SPIRE's `availability_target`. */
  readonly availabilityTargetSeconds: number | undefined;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/**
 * Half the lifetime before the end, give or take a tenth of that, as SPIRE does.
 * @param from when the SVID was obtained, or its `notBefore` if that is not known; authorities backdate `notBefore`, so an SVID that
 * lives for seconds would otherwise be due at once, again and again.
 */
export function renewalTime(from: Date, notAfter: Date, policy: RenewalPolicy): Date {
  const lifetimeMs = Math.max(0, notAfter.getTime() - from.getTime());
  return new Date(notAfter.getTime() - remainderMs(lifetimeMs, policy));
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A server whose clock is behind issues what is about to end, again and again: ask for the next no sooner than after this part of a life. */
const LEAST_PART = 60;

/**
 * For an SVID that was obtained at `now`. When it begins later than that, this clock is behind the server's, by which it will end: then
 * only the length of its life says anything.
 */
export function renewalTimeOfNew({ notBefore, notAfter }: Validity, now: Date, policy: RenewalPolicy): Date {
  const behindMs = Math.max(0, notBefore.getTime() - now.getTime());
  const leastMs = (notAfter.getTime() - notBefore.getTime()) / LEAST_PART;
  const renewAt = renewalTime(now, new Date(notAfter.getTime() - behindMs), policy);
  return new Date(Math.max(renewAt.getTime(), now.getTime() + leastMs));
}

/** For an SVID of an earlier run; one that has yet to begin may be of any age. */
export function renewalTimeOfStored(
  { notBefore, notAfter }: Validity,
  now: Date,
  policy: RenewalPolicy,
): Date {
  return notBefore > now ? now : renewalTime(notBefore, notAfter, policy);
}

/** Whether an SVID of this life can be replaced so early that what is left of it outlasts the target. */
export function canMeetTarget(lifetimeMs: number, targetSeconds: number): boolean {
  return lifetimeMs - targetSeconds * 1000 > LEAST_GRACE_MS;
}

function remainderMs(lifetimeMs: number, { availabilityTargetSeconds, random }: RenewalPolicy): number {
  if (availabilityTargetSeconds !== undefined) {
    const targetMs = availabilityTargetSeconds * 1000;
    if (canMeetTarget(lifetimeMs, availabilityTargetSeconds)) return targetMs + random() * TARGET_SPREAD_MS;
  }
  return (lifetimeMs / 2) * (0.9 + 0.2 * random());
}
