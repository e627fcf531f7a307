/** How an agent says, with a batch of CSRs, how long the SVID that is nearest to its end still lives: whoever has least is signed first. */
import type { Metadata } from '@grpc/grpc-js';
import { invalidArgument } from '../errors/bonafide-error.js';

/** Of BatchNewX509SVID; absent when the batch replaces no SVID, and from agents of SPIRE. */
const KEY = 'bonafide-svid-seconds-left';

/** @param secondsLeft may be less than 0, which is 0, and a fraction. */
export function setSvidSecondsLeft(metadata: Metadata, secondsLeft: number): void {
  metadata.set(KEY, String(Math.max(0, Math.floor(secondsLeft))));
}

/** @throws BonafideError `invalid_argument` when it is there and no number. */
export function svidSecondsLeftIn(metadata: Metadata): number | undefined {
  const [value, ...more] = metadata.get(KEY);
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^\d{1,10}$/.test(value) || more.length > 0) {
    throw invalidArgument(`${KEY} is not a whole number of seconds`);
  }
  return Number(value);
}
