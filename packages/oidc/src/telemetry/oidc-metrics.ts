/** What the provider counts: requests for its documents, and how its source of keys answers. */
import type { IncomingMessage, RequestListener } from 'node:http';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { OTHER } from '@bonafide/shared/telemetry/label-bounds';
import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import type { FetchedKeys, PublishedKeys } from '../documents/published-keys.js';
import type { KeyReceiver } from '../key-source/key-source.js';

const DOCUMENTS = ['discovery', 'keys'] as const;
const CODES = ['200', '304', '400', '404', '405', '501', '503'] as const;

export class OidcMetrics {
  readonly registry = new MetricRegistry();
  readonly #clock: Clock;
  readonly #requests = this.registry.counter(
    'bonafide_oidc_requests_total',
    'Requests, by the document that was asked for and the status of the answer',
    { document: DOCUMENTS, code: CODES },
  );
  readonly #seconds = this.registry.histogram(
    'bonafide_oidc_request_duration_seconds',
    'From the headers of a request to the end of its answer',
    {},
  );
  readonly #refreshes = this.registry.counter(
    'bonafide_oidc_key_refreshes_total',
    'Answers of the source of the keys',
    { result: ['success', 'failure'] },
  );
  #refreshedAt: Date | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.registry.gaugeOf(
      'bonafide_oidc_key_refresh_timestamp_seconds',
      'When the source of the keys last answered; absent before the first time',
      {},
      () => (this.#refreshedAt === undefined ? [] : [[{}, this.#refreshedAt.getTime() / 1000]]),
    );
  }

  observe(keys: Pick<PublishedKeys, 'current' | 'failingMs'>): void {
    this.registry.gaugeOf('bonafide_oidc_keys', 'Keys that are served', {}, () => [
      [{}, keys.current()?.count ?? 0],
    ]);
    this.registry.gaugeOf(
      'bonafide_oidc_key_source_failing_seconds',
      'For how long the source of the keys has not answered; 0 while it does',
      {},
      () => [[{}, keys.failingMs() / 1000]],
    );
  }

  /** The same receiver, counted. */
  meterKeys(receiver: KeyReceiver): KeyReceiver {
    return {
      update: (fetched: FetchedKeys) => {
        receiver.update(fetched);
        this.#refreshedAt = this.#clock.now();
        this.#refreshes.inc({ result: 'success' });
      },
      fail: (error) => {
        this.#refreshes.inc({ result: 'failure' });
        receiver.fail(error);
      },
    };
  }

  /** The same handler, counted. */
  meterRequests(handler: RequestListener): RequestListener {
    return (request, response) => {
      const startedAt = this.#clock.monotonicMs();
      response.once('close', () => {
        const code = CODES.find((known) => known === String(response.statusCode)) ?? OTHER;
        this.#requests.inc({ document: documentOf(request), code });
        this.#seconds.observe({}, (this.#clock.monotonicMs() - startedAt) / 1000);
      });
      handler(request, response);
    };
  }
}

function documentOf({ url = '' }: IncomingMessage): (typeof DOCUMENTS)[number] | typeof OTHER {
  const [path = ''] = url.split('?', 1);
  if (path.endsWith('/.well-known/openid-configuration')) return 'discovery';
  return path.endsWith('/keys') ? 'keys' : OTHER;
}
