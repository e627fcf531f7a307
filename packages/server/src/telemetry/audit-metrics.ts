/** What the audit log costs, and how what it tells of ended. */
import type { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import type { AuditResult } from '../audit/audit-event.js';

const RESULTS = ['success', 'denied', 'failure'] as const satisfies readonly AuditResult[];

export class AuditMetrics {
  readonly #events;
  readonly #seconds;

  constructor(registry: MetricRegistry) {
    this.#events = registry.counter(
      'bonafide_audit_events_total',
      'Events in the audit log, by how what they tell of ended',
      { result: RESULTS },
    );
    this.#seconds = registry.histogram(
      'bonafide_audit_write_duration_seconds',
      'How long those who told the audit log of something waited until it was written',
      {},
    );
  }

  readonly recorded = (results: readonly AuditResult[], seconds: number): void => {
    for (const result of results) this.#events.inc({ result });
    this.#seconds.observe({}, seconds);
  };
}
