/** Who is told of what happens: the audit log and the metrics. */
import { serveMetrics } from '@bonafide/shared/telemetry/serve-metrics';
import type { MetricsIdentity } from '@bonafide/shared/telemetry/metrics-tls';
import { openTracer } from '@bonafide/shared/telemetry/open-tracer';
import type { Tracer } from '@bonafide/shared/telemetry/span';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import { registerBuildInfo } from '@bonafide/shared/telemetry/build-info';
import { countReloads } from '@bonafide/shared/telemetry/reload-metrics';
import type { LivePart, ReloadResult } from '@bonafide/shared/config/live-config';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { AuditLog } from '../audit/audit-log.js';
import { auditServerId } from '../audit/head-file.js';
import { tellOwnActs, type TellOwnAct, type ToldOfOwnAct } from '../audit/own-acts.js';
import { openAuditLog, type OpenedAuditLog } from '../audit/open-audit-log.js';
import { tellOfRestore } from '../audit/tell-of-restore.js';
import type { KeyManager } from '../authority/key-manager.js';
import { openKeyManager } from '../authority/open-key-manager.js';
import type { ServerConfig } from '../configuration/server-config.js';
import type { ConnectedPeers } from '../endpoints/connected-peers.js';
import { NodeNotices } from '../node-proof/node-notices.js';
import { AuditMetrics } from '../telemetry/audit-metrics.js';
import type { Metrics } from '../telemetry/metrics.js';
import { observeServer } from '../telemetry/server-gauges.js';
import type { Federation } from './federation.js';
import type { Registry } from './registry.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';

export interface Telemetry {
  readonly metrics: Metrics;
  /** Of authorities, and of the audit log. */
  readonly keyManager: KeyManager;
  readonly audit: AuditLog;
  readonly tracer: Tracer | undefined;
  readonly tell: TellOwnAct;
  readonly notices: NodeNotices;
}

interface ObservedParts {
  readonly storage: Storage;
  readonly signing: Signing;
  readonly registry: Registry;
  readonly federation: Federation;
  readonly peers: ConnectedPeers;
}

/** @throws BonafideError `failed_precondition` when the audit log cannot be opened. */
export async function startAudit(
  { config, live, clock, log, shutdown }: Startup,
  { store }: Storage,
  metrics: Metrics,
): Promise<Telemetry> {
  const { server, plugins } = config;
  const keyManager = await openKeyManager(plugins.KeyManager, server.data_dir);
  const opened = await openAuditLog({
    ...{ config: config.audit, shortPath: server.audit_log_path, dataFolder: server.data_dir },
    ...{ serverId: await auditServerId(store, server.data_dir), keyManager },
    ...{ records: store.auditEvents, clock, log },
    onRecorded: new AuditMetrics(metrics.registry).recorded,
  });
  shutdown.add(() => opened.close());
  live?.add(auditFiles(opened));
  const traces = await openTracer({
    ...{ config: config.telemetry.OpenTelemetry, program: 'bonafide-server', version: programVersion() },
    ...{ clock, log },
  });
  shutdown.add(() => traces?.close());
  const { audit } = opened;
  const tell = tellOwnActs(audit, log);
  await tellOfRestore(audit, server.data_dir);
  live?.onResult((result) => void tell('configuration_reloaded', reloadTold(result)));
  return {
    metrics,
    keyManager,
    audit,
    tracer: traces?.tracer,
    tell,
    notices: new NodeNotices({ audit, metrics, log }),
  };
}

/** A reload opens files anew that others have moved away; without an audit log nothing is taken over. */
function auditFiles({ audit, reopen }: OpenedAuditLog): LivePart<ServerConfig> {
  return {
    name: 'the audit log',
    keys: [],
    prepare: async () => {
      await audit.ready();
      await reopen();
      return () => undefined;
    },
  };
}

function reloadTold(result: ReloadResult): ToldOfOwnAct {
  if (result.kind === 'refused') return { result: 'failure', reason: result.message };
  return { details: { changed: result.changed.join(' '), need_restart: result.needRestart.join(' ') } };
}

/** Once there is something to serve them with. @throws BonafideError `failed_precondition` when they cannot be served. */
export async function startMetrics(
  { config, live, clock, log, shutdown }: Startup,
  { metrics: { registry }, audit }: Telemetry,
  { storage, signing, registry: { watchStreams }, federation, peers }: ObservedParts,
): Promise<void> {
  const { graph, store } = storage;
  const serverSvid = (): X509Svid => signing.serverSvid.current();
  registerBuildInfo(registry, 'bonafide-server');
  countReloads(registry, live);
  observeServer(registry, {
    ...{ graph, watchStreams, serverSvid },
    authorities: signing.authorities,
    ...{ store, audit, clock },
    connections: () => ({ tls: peers.count('remote'), admin: peers.count('local') }),
    federation: () => federation.refresh.answered(),
  });
  const identity: MetricsIdentity = {
    svid: serverSvid,
    bundle: graph.bundle.bind(graph),
    withDnsNames: async (names, signal) => {
      const named = signing.namedServerSvid(names);
      await named.start(signal);
      return () => named.current();
    },
  };
  const served = await serveMetrics({ config, registry, identity, live, clock, log });
  if (served !== undefined) shutdown.add(() => served.close());
}
