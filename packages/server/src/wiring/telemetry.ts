/** Who is told of what happens: the audit log and the metrics. */
import { FileAuditLog, type AuditLog } from '../audit/audit-log.js';
import { NodeNotices } from '../node-proof/node-notices.js';
import { MetricsEndpoint } from '../telemetry/metrics-endpoint.js';
import { Metrics } from '../telemetry/metrics.js';
import type { Startup } from './startup.js';

export interface Telemetry {
  readonly metrics: Metrics;
  readonly audit: AuditLog;
  readonly notices: NodeNotices;
}

export async function startTelemetry({ config, clock, log, shutdown }: Startup): Promise<Telemetry> {
  const audit = await FileAuditLog.open({ path: config.server.audit_log_path, clock, log });
  shutdown.add(() => audit.close());
  const metrics = new Metrics();
  const { Prometheus: prometheus } = config.telemetry;
  if (prometheus !== undefined) {
    const endpoint = await MetricsEndpoint.listen({ ...prometheus, metrics, log });
    shutdown.add(() => endpoint.close());
    log.info({ address: `${prometheus.host}:${endpoint.port}` }, 'metrics are served at /metrics');
  }
  return { metrics, audit, notices: new NodeNotices({ audit, metrics, log }) };
}
