/** Comparison of what must be equal, in a time that does not tell where it differs. */
import { timingSafeEqual } from 'node:crypto';

export function areSameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
