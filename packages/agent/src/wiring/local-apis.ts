/** What the agent serves on this node: the Workload API's socket for every process, the admin socket for the agent's owner. */
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { createRpcTelemetry } from '@bonafide/shared/telemetry/rpc-telemetry';
import type { Tracer } from '@bonafide/shared/telemetry/span';
import type { AgentConfig } from '../configuration/agent-config.js';
import { addExplainService } from '../endpoints/admin-explain.js';
import { addSnapshotService } from '../endpoints/admin-snapshots.js';
import { addSurvivalService } from '../endpoints/admin-survival.js';
import { createWorkloadEndpoint, type WorkloadEndpoint } from '../endpoints/workload-endpoint.js';
import { AgentHealth } from '../health/agent-health.js';
import type { IdentityKeeper } from '../agent-identity/identity-keeper.js';
import type { NodeSurvival } from '../survival/node-survival.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import type { WitSvids } from '../token-svids/wit-svids.js';
import type { AgentMetrics } from '../telemetry/agent-metrics.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { createWorkloadAttestors } from '../workload-attestation/attestors.js';
import { createLiveSettings } from './live-settings.js';
import { createPrivilegedApis, type PrivilegedApis } from './privileged-apis.js';
import { createExplanations, type ExplainedAgent } from './explanations.js';
import { createSnapshots } from './snapshots.js';
import type { SocketPaths } from './settings.js';

interface LocalApisOptions {
  readonly config: AgentConfig;
  readonly live: LiveConfig<AgentConfig> | undefined;
  readonly sockets: SocketPaths;
  readonly cache: SvidCache;
  readonly jwtSvids: JwtSvids;
  readonly witSvids: WitSvids;
  readonly survival: NodeSurvival;
  readonly keeper: Pick<IdentityKeeper, 'svid'>;
  readonly explained: ExplainedAgent;
  readonly onAttested: (selectors: readonly Selector[]) => void;
  readonly metrics: AgentMetrics;
  readonly tracer: Tracer | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface LocalApis {
  readonly endpoint: WorkloadEndpoint;
  readonly privileged: PrivilegedApis;
  /** To be called when nothing is served any more. */
  close(): void;
}

export function createLocalApis(options: LocalApisOptions): LocalApis {
  const { cache, clock, config, explained, jwtSvids, keeper, log, metrics, sockets, survival, witSvids } =
    options;
  const { agent, plugins } = config;
  const settings = createLiveSettings(config, options.live);
  const host = {
    trustDomain: agent.trust_domain,
    clock,
    log,
    passwdPath: '/etc/passwd',
    groupPath: '/etc/group',
  };
  const attestors = createWorkloadAttestors(plugins.WorkloadAttestor, host);
  const explanations = createExplanations({
    ...{ attestors, host, cache, survival, clock, log },
    agent: explained,
  });
  const attest = metrics.meterAttestation(
    createWorkloadAttestation({
      ...{ attestors, clock, log },
      onFinding: metrics.attestorAnswered.bind(metrics),
    }),
  );
  const agentSvid = (): IdentityKeeper['svid'] => keeper.svid;
  const health = new AgentHealth({
    agentSvid,
    isServing: () => endpoint.isServing(),
    isQuarantined: () => explained.quarantine.isActive,
    sync: explained.sync,
    clock,
  });
  const endpoint = createWorkloadEndpoint({
    socketPath: sockets.workloadApi,
    inheritedFd: sockets.inheritedFd,
    identities: cache,
    jwtSvids,
    witSvids,
    policy: settings.policy,
    attest,
    onAttested: options.onAttested,
    clock,
    log,
    limits: settings.limits,
    switches: agent.apis,
    isHealthy: () => health.problem() === undefined,
    healthChecks: () => health.checks(),
    sds: settings.sds,
    selectorLogging: settings.selectorLogging,
    telemetry: createRpcTelemetry({
      metrics: metrics.rpc,
      listener: 'workload',
      tracer: options.tracer,
      clock,
    }),
    onRefusedConnection: (why) => {
      metrics.connectionRefused('workload', why);
    },
    selfExplain: Object.assign(settings.selfExplanation, { explanations }),
  });
  const snapshots = createSnapshots({ ...options, health, connections: () => endpoint.peers() });
  const privileged = createPrivilegedApis({
    ...{ config, attest, attestors, cache, jwtSvids, agentSvid, health, metrics, clock, log },
    tracer: options.tracer,
    adminSocketPath: sockets.admin,
    settings,
    services: [
      (server) => {
        addSurvivalService(server, { survival, log });
      },
      (server) => {
        addExplainService(server, { explanations, peers: () => endpoint.peers(), log });
      },
      (server) => {
        addSnapshotService(server, { snapshots, log });
      },
    ],
    lastSyncAt: () => explained.sync.lastSyncAt,
  });
  return {
    endpoint,
    privileged,
    close: () => {
      for (const attestor of attestors.values()) attestor.close?.();
    },
  };
}
