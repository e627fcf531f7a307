/** How SVIDs are issued: how many, how they ended, and how long it took; measured around the issuers, which know nothing of it. */
import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { LATENCY_BUCKETS, type MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import type { X509SvidBatchIssuer } from '../issuance/x509-svid-request.js';

/** `x509_agent`: of agents and of the server itself. */
const SVID_KINDS = ['x509', 'x509_agent', 'jwt', 'wit'] as const;
export type SvidKind = (typeof SVID_KINDS)[number];

/** `refused`: what was asked for is not to be had; `deferred`: the queue is full; `failed`: the server could not. */
const ISSUANCE_RESULTS = ['issued', 'refused', 'deferred', 'cancelled', 'failed'] as const;
type IssuanceResult = (typeof ISSUANCE_RESULTS)[number];

interface Issuer<Request, Svid> {
  issue(request: Request): Promise<Svid>;
}

export class IssuanceMetrics {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #registry: MetricRegistry;
  readonly #issuances;
  readonly #seconds;
  readonly #batchSeconds;
  readonly #waitSeconds;

  constructor(registry: MetricRegistry, clock: Pick<Clock, 'monotonicMs'>) {
    this.#registry = registry;
    this.#clock = clock;
    this.#issuances = registry.counter(
      'bonafide_svid_issuances_total',
      'SVIDs that were asked for, by how that ended',
      { kind: SVID_KINDS, result: ISSUANCE_RESULTS },
    );
    this.#seconds = registry.histogram(
      'bonafide_svid_issuance_duration_seconds',
      'Checking, writing and signing one SVID, among others at once; of workloads’ X.509-SVIDs those outside of batches',
      { kind: SVID_KINDS },
    );
    this.#batchSeconds = registry.histogram(
      'bonafide_issuance_batch_duration_seconds',
      'From the arrival of a batch of X.509-SVIDs to its last signature',
      {},
    );
    this.#waitSeconds = registry.histogram(
      'bonafide_issuance_queue_wait_seconds',
      'How long the first SVID of a batch waited for its turn',
      {},
      [0.0001, ...LATENCY_BUCKETS, 30],
    );
  }

  /** The same issuer, counted. */
  meter<Request, Svid>(kind: SvidKind, issuer: Issuer<Request, Svid>): Issuer<Request, Svid> {
    return {
      issue: async (request) => {
        const startedAt = this.#clock.monotonicMs();
        try {
          const svid = await issuer.issue(request);
          this.#seconds.observe({ kind }, this.#secondsSince(startedAt));
          this.#issuances.inc({ kind, result: 'issued' });
          return svid;
        } catch (error) {
          this.#issuances.inc({ kind, result: resultOf(error) });
          throw error;
        }
      },
    };
  }

  /** As `meter`, for batches of workloads' X.509-SVIDs, and how many wait. */
  meterBatches(issuer: X509SvidBatchIssuer & { readonly waiting: number }): X509SvidBatchIssuer {
    this.#registry.gaugeOf('bonafide_issuance_queue_length', 'SVIDs that wait to be signed', {}, () => [
      [{}, issuer.waiting],
    ]);
    return {
      issueBatch: async (requests, call) => {
        const [first, ...rest] = requests;
        if (first === undefined) return [];
        const startedAt = this.#clock.monotonicMs();
        const metered = (): ReturnType<typeof first> => {
          this.#waitSeconds.observe({}, this.#secondsSince(startedAt));
          return first();
        };
        try {
          const outcomes = await issuer.issueBatch([metered, ...rest], call);
          this.#batchSeconds.observe({}, this.#secondsSince(startedAt));
          const counts = new Map<IssuanceResult, number>();
          for (const outcome of outcomes) {
            const result = outcome.kind === 'issued' ? 'issued' : resultOf(outcome.error);
            counts.set(result, (counts.get(result) ?? 0) + 1);
          }
          for (const [result, count] of counts) this.#issuances.inc({ kind: 'x509', result }, count);
          return outcomes;
        } catch (error) {
          this.#issuances.inc({ kind: 'x509', result: resultOf(error) }, requests.length);
          throw error;
        }
      },
    };
  }

  #secondsSince(startedAt: number): number {
    return (this.#clock.monotonicMs() - startedAt) / 1000;
  }
}

/** What is not here is what was asked for being refused. */
const RESULT_OF_REASON: Partial<Record<Reason, IssuanceResult>> = {
  resource_exhausted: 'deferred',
  cancelled: 'cancelled',
  internal: 'failed',
  unavailable: 'failed',
};

function resultOf(error: unknown): IssuanceResult {
  if (!(error instanceof BonafideError)) return 'failed';
  return RESULT_OF_REASON[error.reason] ?? 'refused';
}
