/** Probes: ready while there are keys that are not too old, live until the source has been away for too long. */
import type { RequestListener } from 'node:http';
import type { PublishedKeys } from '../documents/published-keys.js';

export interface HealthHandlerOptions {
  readonly keys: PublishedKeys;
  readonly readyPath: string;
  readonly livePath: string;
  /** How long the source may fail. */
  readonly toleranceMs: number;
}

/** SPIRE's: five times the interval at which the source is asked, and three minutes at least. */
export function healthToleranceMs(pollSeconds: number): number {
  return Math.max(5 * pollSeconds, 180) * 1000;
}

export function createHealthHandler(options: HealthHandlerOptions): RequestListener {
  const { keys, readyPath, livePath, toleranceMs } = options;
  return ({ method, url = '' }, response) => {
    const isLive = keys.failingMs() < toleranceMs;
    const answers = new Map([
      [livePath, isLive],
      [readyPath, isLive && keys.current() !== undefined],
    ]);
    const isWell = answers.get(url.split('?', 1)[0] ?? '');
    response.setHeader('cache-control', 'no-store');
    if (isWell === undefined) response.writeHead(404).end();
    else if (method !== 'GET' && method !== 'HEAD') response.writeHead(405, { allow: 'GET, HEAD' }).end();
    else response.writeHead(isWell ? 200 : 500).end();
  };
}
