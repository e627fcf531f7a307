/** Serves what a program counts where its configuration says, under TLS that follows SVIDs, files and reloads. */
import type { LivePart } from '../config/live-config.js';
import { BonafideError } from '../errors/bonafide-error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { MetricsEndpoint, type MetricsTls } from './metrics-endpoint.js';
import { createMetricsTls, type MetricsIdentity } from './metrics-tls.js';
import type { MetricRegistry } from './metric-registry.js';
import type { PrometheusConfig } from './telemetry-config.js';

/** The part of any program's configuration that matters here. */
interface WithTelemetry {
  readonly telemetry: { readonly Prometheus?: PrometheusConfig | undefined };
}

export interface ServeMetricsOptions<C extends WithTelemetry> {
  readonly config: C;
  readonly registry: MetricRegistry;
  /** Undefined: the program has no SVID of its own. */
  readonly identity: MetricsIdentity | undefined;
  /** Undefined: nothing is reloaded. */
  readonly live: { add(part: LivePart<C>): void } | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ServedMetrics {
  readonly port: number;
  close(): Promise<void>;
}

/** @returns undefined when the configuration asks for none. @throws BonafideError `failed_precondition` when it cannot be served. */
export async function serveMetrics<C extends WithTelemetry>(
  options: ServeMetricsOptions<C>,
): Promise<ServedMetrics | undefined> {
  const { config, registry, live, clock, log } = options;
  const { Prometheus: prometheus } = config.telemetry;
  if (prometheus === undefined) return undefined;
  registry.addProcessMetrics();
  const following = new FollowedTls(options);
  if (prometheus.tls !== undefined) (await following.prepare(prometheus))();
  const { host, port } = prometheus;
  const tls = prometheus.tls === undefined ? undefined : following;
  const endpoint = await MetricsEndpoint.listen({ host, port, tls, metrics: registry, clock, log });
  if (tls !== undefined) {
    live?.add({
      name: 'TLS of the metrics',
      keys: ['telemetry.Prometheus.tls'],
      prepare: ({ telemetry }) => following.prepare(telemetry.Prometheus ?? prometheus),
    });
  }
  log.info({ address: `${host}:${endpoint.port}` }, 'metrics are served at /metrics');
  return {
    port: endpoint.port,
    close: async () => {
      following.stop();
      await endpoint.close();
    },
  };
}

class FollowedTls implements MetricsTls {
  readonly #options: Pick<ServeMetricsOptions<WithTelemetry>, 'identity' | 'clock' | 'log'>;
  #current: MetricsTls | undefined;
  #files = new AbortController();
  /** Of what was prepared last; it may never count. */
  #prepared = new AbortController();

  constructor(options: Pick<ServeMetricsOptions<WithTelemetry>, 'identity' | 'clock' | 'log'>) {
    this.#options = options;
  }

  readonly credentials: MetricsTls['credentials'] = () => this.#current?.credentials();

  readonly verifyClient: MetricsTls['verifyClient'] = (client) => {
    if (this.#current === undefined) throw new BonafideError('unavailable', 'there is no certificate yet');
    this.#current.verifyClient(client);
  };

  /** @returns what makes it the one that counts. */
  async prepare({ tls }: PrometheusConfig): Promise<() => void> {
    if (tls === undefined) return () => undefined; // needs a restart
    this.#prepared.abort();
    const files = (this.#prepared = new AbortController());
    const next = await createMetricsTls({ ...this.#options, tls }, files.signal);
    return () => {
      this.#files.abort();
      this.#files = files;
      this.#prepared = new AbortController();
      this.#current = next;
    };
  }

  stop(): void {
    this.#prepared.abort();
    this.#files.abort();
  }
}
