/** How long changes are on their way: from the moment they are in memory here until the agents that they concern say that they hold them. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { LATENCY_BUCKETS, type MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import type { GraphChange } from '../entry-graph/graph-change.js';
import type { ReceiptsListener } from '../sync/receipts-listener.js';

/** Of an agent the oldest change that it has not acknowledged. */
interface Awaited {
  readonly revision: number;
  readonly sinceMs: number;
}

export interface DeliveryMeterOptions {
  readonly registry: MetricRegistry;
  /** Who is to be told on. */
  readonly receipts: ReceiptsListener;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** Stands between the streams and the receipts. Holds something of connected agents alone. */
export class DeliveryMeter implements ReceiptsListener {
  readonly #options: DeliveryMeterOptions;
  readonly #connected = new Set<SpiffeId>();
  readonly #awaited = new Map<SpiffeId, Awaited>();
  readonly #seconds;

  constructor(options: DeliveryMeterOptions) {
    this.#options = options;
    this.#seconds = options.registry.histogram(
      'bonafide_delivery_duration_seconds',
      'From a change of the registry to the word of a connected agent that it holds it',
      {},
      [...LATENCY_BUCKETS, 30, 60],
    );
    options.registry.gaugeOf(
      'bonafide_agents_behind',
      'Connected agents that have yet to say that they hold a change',
      {},
      () => [[{}, this.#awaited.size]],
    );
  }

  /** To be told before the streams are. */
  changed({ revision, reaches }: GraphChange): void {
    const sinceMs = this.#options.clock.monotonicMs();
    for (const { agents } of reaches) {
      for (const agentId of agents) {
        if (this.#connected.has(agentId) && !this.#awaited.has(agentId)) {
          this.#awaited.set(agentId, { revision, sinceMs });
        }
      }
    }
  }

  streamOpened(agentId: SpiffeId, revision: number): void {
    this.#connected.add(agentId);
    this.#awaited.delete(agentId);
    this.#options.receipts.streamOpened(agentId, revision);
  }

  streamClosed(agentId: SpiffeId): void {
    this.#leave(agentId);
    this.#options.receipts.streamClosed(agentId);
  }

  acknowledged(agentId: SpiffeId, revision: number): void {
    const awaited = this.#awaited.get(agentId);
    if (awaited !== undefined && revision >= awaited.revision) {
      this.#awaited.delete(agentId);
      this.#seconds.observe({}, (this.#options.clock.monotonicMs() - awaited.sinceMs) / 1000);
    }
    this.#options.receipts.acknowledged(agentId, revision);
  }

  forget(agentId: SpiffeId): void {
    this.#awaited.delete(agentId);
    this.#options.receipts.forget(agentId);
  }

  #leave(agentId: SpiffeId): void {
    this.#connected.delete(agentId);
    this.#awaited.delete(agentId);
  }
}
