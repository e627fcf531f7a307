/** Times as Go prints them in RFC 3339, and SPIRE's output with it. */
import { dateFromUnixSeconds } from '../runtime/clock.js';

/** `2026-01-02T15:04:05Z`. */
export function rfc3339(unixSeconds: number): string {
  return dateFromUnixSeconds(unixSeconds).toISOString().replace('.000Z', 'Z');
}
