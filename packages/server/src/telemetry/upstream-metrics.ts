/** How whoever stands above this server answers: measured around the upstream authority, which knows nothing of it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { LATENCY_BUCKETS, type MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import type { UpstreamAuthority } from '../authority/upstream/upstream-authority.js';

/** `follow`: what it has us publish was told, and taken over. */
const UPSTREAM_CALLS = ['mint_x509', 'publish_jwt', 'publish_wit', 'follow'] as const;
type UpstreamCall = (typeof UPSTREAM_CALLS)[number];

const UPSTREAM_RESULTS = ['success', 'refused', 'unavailable', 'failed'] as const;
type UpstreamResult = (typeof UPSTREAM_RESULTS)[number];

export class UpstreamMetrics {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #calls;
  readonly #seconds;

  constructor(registry: MetricRegistry, clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#calls = registry.counter(
      'bonafide_upstream_authority_calls_total',
      'What the upstream authority was asked for, and what it told of itself, by how that ended',
      { call: UPSTREAM_CALLS, result: UPSTREAM_RESULTS },
    );
    this.#seconds = registry.histogram(
      'bonafide_upstream_authority_duration_seconds',
      'How long the upstream authority took, or we to take over what it told',
      { call: UPSTREAM_CALLS },
      [...LATENCY_BUCKETS, 30],
    );
  }

  /** The same authority, counted. */
  meter(upstream: UpstreamAuthority): UpstreamAuthority {
    const publishJwtAuthority = upstream.publishJwtAuthority?.bind(upstream);
    const publishWitAuthority = upstream.publishWitAuthority?.bind(upstream);
    const metered: UpstreamAuthority = {
      name: upstream.name,
      mintX509Authority: (request, signal) =>
        this.#call('mint_x509', () => upstream.mintX509Authority(request, signal)),
      follow: (listener, signal) =>
        upstream.follow((content) => this.#call('follow', () => listener(content)), signal),
    };
    if (publishJwtAuthority !== undefined) {
      metered.publishJwtAuthority = (authority, signal) =>
        this.#call('publish_jwt', () => publishJwtAuthority(authority, signal));
    }
    if (publishWitAuthority !== undefined) {
      metered.publishWitAuthority = (authority, signal) =>
        this.#call('publish_wit', () => publishWitAuthority(authority, signal));
    }
    return metered;
  }

  async #call<Answer>(call: UpstreamCall, work: () => Promise<Answer>): Promise<Answer> {
    const startedAt = this.#clock.monotonicMs();
    let result: UpstreamResult = 'success';
    try {
      return await work();
    } catch (error) {
      result = resultOf(error);
      throw error;
    } finally {
      this.#calls.inc({ call, result });
      this.#seconds.observe({ call }, (this.#clock.monotonicMs() - startedAt) / 1000);
    }
  }
}

function resultOf(error: unknown): UpstreamResult {
  if (!(error instanceof BonafideError) || error.reason === 'internal') return 'failed';
  const { reason } = error;
  return reason === 'unavailable' || reason === 'deadline_exceeded' || reason === 'cancelled'
    ? 'unavailable'
    : 'refused';
}
