/** Follows the bundle of another trust domain: asks its endpoint again and again, as often as its publisher wants (SPIFFE Federation section 4.1). */
import {
  nextRefreshMs,
  refreshIntervalMs,
  retryBounds,
} from '@bonafide/shared/bundle-endpoint/refresh-schedule';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, systemClock } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import { announce } from '../source-events.js';
import { parseEndpoint, type BundleEndpoint } from './bundle-endpoint.js';
import { fetchNext, type FetchBundleOptions } from './fetch-bundle.js';
import { fetchedBundle, type FetchedBundle } from './fetched-bundle.js';

/** Who is told of a bundle. */
export interface BundleWatcher {
  /** The first one, and each that is different; it takes the place of the one before. */
  readonly onUpdate: (bundle: FetchedBundle) => void;
  /** The endpoint could not be asked, or what it served is refused; the last bundle stays good, and it is tried again. */
  readonly onError?: ((error: BonafideError) => void) | undefined;
}

/**
 * The next time is what the bundle's refresh hint says, 5 seconds at least and a day at most; 5 minutes without a hint. After a failure it is sooner at first, then
 * as often. A bundle whose sequence number went back, or that lost all keys of a kind without a newer number, is refused. An endpoint with an
 * SVID of the trust domain that it serves is authenticated by the bundle it served last. A watch keeps the process alive.
 * @param options `timeoutMs` is for each fetch; `signal` ends the watch.
 * @returns a promise that is resolved once the signal has fired.
 * @throws BonafideError `invalid_argument` for a malformed argument.
 * @example
 * const trust = new BundleSet(source);
 * const end = new AbortController();
 * const watch = watchBundle(
 *   'other.example',
 *   { profile: 'https_web', url: 'https://bundle.other.example/' },
 *   { onUpdate: (bundle) => trust.put(bundle), onError: (error) => console.warn(error.message) },
 *   { signal: end.signal },
 * );
 */
export async function watchBundle(
  trustDomain: string,
  endpoint: BundleEndpoint,
  watcher: BundleWatcher,
  options: FetchBundleOptions = {},
): Promise<void> {
  const parsed = parseEndpoint(trustDomain, endpoint);
  const { clock = systemClock, signal } = options;
  const isOver = (): boolean => signal?.aborted === true;
  const release = keepProcessAlive();
  let held: TrustBundle | undefined;
  let backoff: Backoff | undefined;
  try {
    while (!isOver()) {
      let delayMs: number;
      try {
        const { bundle, isChanged } = await fetchNext(parsed, held, options);
        if (isOver()) return;
        held = bundle;
        backoff = undefined;
        delayMs = nextRefreshMs(refreshIntervalMs(bundle.refreshHintSeconds), Math.random());
        if (isChanged)
          announce(() => {
            watcher.onUpdate(fetchedBundle(bundle));
          });
      } catch (error) {
        if (isOver()) return;
        backoff ??= new Backoff(retryBounds(refreshIntervalMs(held?.refreshHintSeconds)));
        delayMs = backoff.nextDelayMs();
        const told = asBonafideError(error);
        announce(() => watcher.onError?.(told));
      }
      await sleep(clock, delayMs, signal).catch(() => undefined); // the signal has fired: the loop sees it
    }
  } finally {
    release();
  }
}

function asBonafideError(error: unknown): BonafideError {
  if (error instanceof BonafideError) return error;
  return new BonafideError('internal', errorMessage(error), { cause: error });
}
