/** What the server does by itself or for all: writes to its database, rotation, bundles from and for others, refusing who asks too often. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import type { RateLimitKind } from '../access/rate-limits.js';
import type { AuthorityKind } from '../store/authority-record.js';

export const AUTHORITY_KINDS = ['x509', 'jwt', 'wit'] as const satisfies readonly AuthorityKind[];

/** `refused`: what was to be written is not allowed, and nothing was. */
const WRITE_RESULTS = ['committed', 'refused', 'unavailable', 'failed'] as const;
const SUCCESS_OR_FAILURE = ['success', 'failure'] as const;
const MOST_TRUST_DOMAINS = 200;
const MOST_PUBLISHERS = 20;

export class UpkeepMetrics {
  readonly #writes;
  readonly #writeSeconds;
  readonly #writeWaitSeconds;
  readonly #activations;
  readonly #federationRefreshes;
  readonly #publications;
  readonly #rateLimited;

  constructor(registry: MetricRegistry) {
    this.#writes = registry.counter(
      'bonafide_datastore_writes_total',
      'Transactions that were to change the database',
      { result: WRITE_RESULTS },
    );
    this.#writeSeconds = registry.histogram(
      'bonafide_datastore_write_duration_seconds',
      'From the begin of a transaction until everybody on this server has heard of it',
      {},
    );
    this.#writeWaitSeconds = registry.histogram(
      'bonafide_datastore_write_wait_seconds',
      'How long a transaction waited for those before it',
      {},
    );
    this.#activations = registry.counter(
      'bonafide_authority_activations_total',
      'Authorities that this server began to sign with',
      { kind: AUTHORITY_KINDS },
    );
    this.#federationRefreshes = registry.counter(
      'bonafide_federation_refreshes_total',
      'Bundles of other trust domains that were asked for at their endpoints',
      { trust_domain: MOST_TRUST_DOMAINS, result: SUCCESS_OR_FAILURE },
    );
    this.#publications = registry.counter(
      'bonafide_bundle_publications_total',
      'How often our bundle was put where the configuration says',
      { publisher: MOST_PUBLISHERS, result: SUCCESS_OR_FAILURE },
    );
    this.#rateLimited = registry.counter(
      'bonafide_rate_limited_total',
      'Calls that were refused because their source asks too often',
      { kind: ['attestation', 'signing', 'status'] },
    );
  }

  /** @param error undefined when it was committed. */
  datastoreWrite(waitSeconds: number, seconds: number, error: unknown): void {
    this.#writeWaitSeconds.observe({}, waitSeconds);
    this.#writeSeconds.observe({}, seconds);
    this.#writes.inc({ result: writeResult(error) });
  }

  authorityActivated(kind: AuthorityKind): void {
    this.#activations.inc({ kind });
  }

  federationRefreshed(trustDomain: TrustDomain, isSuccess: boolean): void {
    this.#federationRefreshes.inc({ trust_domain: trustDomain, result: isSuccess ? 'success' : 'failure' });
  }

  bundlePublished(publisher: string, isSuccess: boolean): void {
    this.#publications.inc({ publisher, result: isSuccess ? 'success' : 'failure' });
  }

  rateLimited(kind: RateLimitKind): void {
    this.#rateLimited.inc({ kind });
  }
}

function writeResult(error: unknown): (typeof WRITE_RESULTS)[number] {
  if (error === undefined) return 'committed';
  if (!(error instanceof BonafideError) || error.reason === 'internal') return 'failed';
  return error.reason === 'unavailable' ? 'unavailable' : 'refused';
}
