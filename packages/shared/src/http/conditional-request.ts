/** Conditional requests (RFC 9110 section 13): the tag of what is served, and whether whoever asks has that already. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

interface Version {
  readonly tag: string;
  /** Undefined where tags alone count. */
  readonly changedAt?: Date;
}

/** A strong entity tag (RFC 9110 section 8.8.3). */
export function entityTag(content: string | Buffer): string {
  return `"${createHash('sha256').update(content).digest('base64url')}"`;
}

/** Whether the answer is 304 Not Modified. */
export function isUnchanged(headers: IncomingHttpHeaders, { tag, changedAt }: Version): boolean {
  const tags = headers['if-none-match'];
  // Section 13.2.2: where there are tags, dates do not count.
  if (tags !== undefined) {
    return tags
      .split(',')
      .map((text) => text.trim().replace(/^W\//, ''))
      .some((text) => text === '*' || text === tag);
  }
  if (changedAt === undefined) return false;
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Math.floor(changedAt.getTime() / 1000) * 1000 <= since;
}
