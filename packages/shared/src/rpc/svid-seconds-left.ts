/** How an agent says, with a batch of CSRs, how long the SVID that is nearest to its end still lives: whoever has least is signed first. */
import type { Metadata } from '@grpc/grpc-js';
import { invalidArgument } from '../errors/bonafide-error.js';

/** A whole number, of BatchNewX509SVID; absent when the batch replaces no SVID, and from agents of SPIRE. */
export const SVID_SECONDS_LEFT = 'bonafide-svid-seconds-left';

/** @throws BonafideError `invalid_argument` when it is there and no number. */
export function svidSecondsLeftIn(metadata: Metadata): number | undefined {
  const [value, ...more] = metadata.get(SVID_SECONDS_LEFT);
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^\d{1,10}$/.test(value) || more.length > 0) {
    throw invalidArgument(`${SVID_SECONDS_LEFT} is not a whole number of seconds`);
  }
  return Number(value);
}
