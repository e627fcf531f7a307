/** How urgent a batch is: by the life that is left of the SVIDs which it replaces. What an agent says of it is a claim; fairness does not rest on it. */

/** 0 is the most urgent. */
export type Urgency = 0 | 1 | 2 | 3;

export const URGENCIES: readonly Urgency[] = [0, 1, 2, 3];

/** How full the queue may be for a batch of each urgency to be let in still: the last room is for those who cannot wait. */
export const ADMITTED_SHARE: Readonly<Record<Urgency, number>> = { 0: 1, 1: 0.9, 2: 0.75, 3: 0.6 };

/** @param secondsLeft undefined for a batch that replaces no SVID; less than 0 is 0. */
export function urgencyOf(secondsLeft: number | undefined): Urgency {
  if (secondsLeft === undefined) return 3;
  if (secondsLeft <= 60) return 0;
  if (secondsLeft <= 600) return 1;
  return secondsLeft <= 3600 ? 2 : 3;
}
