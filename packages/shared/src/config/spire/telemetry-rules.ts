/** SPIRE's `telemetry` group, which server and agent share. */
import { group, ignored, type SpireRule } from './spire-rules.js';

const PROMETHEUS_ONLY = 'metrics are served for Prometheus';

export const telemetryRules: SpireRule = group({
  DogStatsd: ignored(PROMETHEUS_ONLY),
  Statsd: ignored(PROMETHEUS_ONLY),
  M3: ignored(PROMETHEUS_ONLY),
  InMem: ignored(PROMETHEUS_ONLY),
  MetricPrefix: ignored('names of metrics are fixed'),
  EnableTrustDomainLabel: ignored('labels of metrics are fixed'),
  EnableHostnameLabel: ignored('labels of metrics are fixed'),
  AllowedPrefixes: ignored('all metrics are served'),
  BlockedPrefixes: ignored('all metrics are served'),
  AllowedLabels: ignored('labels of metrics are fixed'),
  BlockedLabels: ignored('labels of metrics are fixed'),
  Prometheus: group({}),
});
