/** Keeps what is published fresh: at the start, with every change of our bundle, and as often as its refresh hint says. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { BundlePublisher } from './bundle-publisher.js';

export interface BundlePublishingOptions {
  readonly publishers: readonly BundlePublisher[];
  /** Undefined before there is one. The same object while it stays the same. */
  readonly ownBundle: () => TrustBundle | undefined;
  /** Hears of every change, of our bundle and perhaps of other things. @returns the way to unsubscribe. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Told of every attempt. */
  readonly onAttempt?: ((publisher: string, isSuccess: boolean) => void) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const DEFAULT_REFRESH_SECONDS = 300;
const RETRY = { initialMs: 1_000, maximumMs: 300_000 };

/** Resolves when the signal has fired and nothing is on its way any more. Publishers do not wait for each other. */
export async function publishBundle(options: BundlePublishingOptions, signal: AbortSignal): Promise<void> {
  await Promise.all(options.publishers.map((publisher) => keepPublished(publisher, options, signal)));
}

async function keepPublished(
  publisher: BundlePublisher,
  options: BundlePublishingOptions,
  signal: AbortSignal,
): Promise<void> {
  const { ownBundle, subscribe, clock } = options;
  const alarm = new Alarm(clock);
  const backoff = new Backoff(RETRY);
  const unsubscribe = subscribe(() => {
    alarm.ring();
  });
  let tried: TrustBundle | undefined;
  let dueMs = 0;
  while (!signal.aborted) {
    const bundle = ownBundle();
    if (bundle !== undefined && (bundle !== tried || clock.monotonicMs() >= dueMs)) {
      tried = bundle;
      const waitMs = await tryToPublish(publisher, bundle, { ...options, backoff, signal });
      dueMs = clock.monotonicMs() + waitMs;
    }
    const untilDueMs = tried === undefined ? undefined : dueMs - clock.monotonicMs();
    const wakeAt = untilDueMs === undefined ? undefined : new Date(clock.now().getTime() + untilDueMs);
    await alarm.wait(wakeAt, signal);
  }
  unsubscribe();
}

interface Attempt extends Pick<BundlePublishingOptions, 'log' | 'onAttempt'> {
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
}

/** @returns how long until the next time. */
async function tryToPublish(
  publisher: BundlePublisher,
  bundle: TrustBundle,
  { log, backoff, onAttempt, signal }: Attempt,
): Promise<number> {
  const fields = { publisher: publisher.name, sequence_number: bundle.sequenceNumber };
  try {
    await publisher.publish(bundle, signal);
    backoff.reset();
    onAttempt?.(publisher.name, true);
    log.debug(fields, 'Bundle published');
    return (bundle.refreshHintSeconds ?? DEFAULT_REFRESH_SECONDS) * 1000;
  } catch (error) {
    const waitMs = backoff.nextDelayMs();
    if (!signal.aborted) {
      onAttempt?.(publisher.name, false);
      const retrySeconds = Math.round(waitMs / 1000);
      log.error({ ...fields, err: error, retrySeconds }, `cannot publish the bundle: ${errorMessage(error)}`);
    }
    return waitMs;
  }
}
