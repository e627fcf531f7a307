/** What becomes of the files that the agent keeps for others: those of its helpers, and of the SVID stores. */
import type { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { HELPER_RESULTS, type HelperResult } from '../helper/helper-result.js';
import { STORE_RESULTS, type StoreResult } from '../svid-store/svid-store.js';

export class FileOutputMetrics {
  readonly #helpers;
  readonly #stores;

  constructor(registry: MetricRegistry) {
    this.#helpers = registry.counter(
      'bonafide_agent_helper_writes_total',
      'What helpers of this agent did with their files whenever an identity changed',
      { result: HELPER_RESULTS },
    );
    this.#stores = registry.counter(
      'bonafide_agent_svid_store_writes_total',
      'What became of SVIDs that SVID stores are to keep',
      { result: STORE_RESULTS },
    );
  }

  readonly helper = (result: HelperResult): void => {
    this.#helpers.inc({ result });
  };

  readonly store = (result: StoreResult): void => {
    this.#stores.inc({ result });
  };
}
