/** Whether a conditional request's answer is 304 Not Modified (RFC 9110 section 13). */
import type { IncomingHttpHeaders } from 'node:http';

interface Version {
  readonly tag: string;
  readonly changedAt: Date;
}

export function isUnchanged(headers: IncomingHttpHeaders, { tag, changedAt }: Version): boolean {
  const tags = headers['if-none-match'];
  // Section 13.2.2: where there are tags, dates do not count.
  if (tags !== undefined) {
    return tags
      .split(',')
      .map((text) => text.trim().replace(/^W\//, ''))
      .some((text) => text === '*' || text === tag);
  }
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Math.floor(changedAt.getTime() / 1000) * 1000 <= since;
}
