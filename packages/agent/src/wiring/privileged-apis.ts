/** What the agent serves to others than workloads: its owner, delegates, brokers, and whoever asks whether it is well. */
import { resolve } from 'node:path';
import type { Server } from '@grpc/grpc-js';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createRpcTelemetry } from '@bonafide/shared/telemetry/rpc-telemetry';
import type { Tracer } from '@bonafide/shared/telemetry/span';
import { checkSwitches } from '../apis/api-switches.js';
import { BrokerEndpoint } from '../broker/broker-endpoint.js';
import { BrokerPolicy } from '../broker/broker-policy.js';
import type { AgentConfig } from '../configuration/agent-config.js';
import { DelegatedIdentity } from '../delegated-identity/delegated-identity.js';
import { addDebugService } from '../endpoints/admin-debug.js';
import { AdminEndpoint } from '../endpoints/admin-endpoint.js';
import { addLoggerService } from '../endpoints/admin-logger.js';
import { delegatesAccess, OWNER_ALONE } from '../endpoints/admin-socket-access.js';
import type { AgentHealth } from '../health/agent-health.js';
import { createHealthListener } from '../health/health-listener.js';
import { ExitWatch } from '../on-behalf/exit-watch.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import type { AgentMetrics } from '../telemetry/agent-metrics.js';
import type { WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import type { WorkloadAttestor } from '../workload-attestation/workload-attestor.js';
import type { LiveSettings } from './live-settings.js';

export interface PrivilegedApisOptions {
  readonly config: AgentConfig;
  /** As configured now. */
  readonly settings: Pick<LiveSettings, 'authorizedDelegates' | 'limits' | 'selectorLogging'>;
  /** Undefined: none is configured. */
  readonly adminSocketPath: string | undefined;
  /** More services of the admin socket, for its owner alone. */
  readonly services: readonly ((server: Server) => void)[];
  readonly attest: WorkloadAttestation;
  readonly attestors: ReadonlyMap<string, WorkloadAttestor>;
  readonly cache: SvidCache;
  readonly jwtSvids: JwtSvids;
  readonly agentSvid: () => X509Svid | undefined;
  readonly lastSyncAt: () => Date | undefined;
  readonly health: AgentHealth;
  readonly metrics: AgentMetrics;
  readonly tracer: Tracer | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Listener {
  listen(): Promise<unknown>;
  close(): void;
}

export interface PrivilegedApis {
  /** @throws BonafideError when one of them cannot be served. */
  listen(): Promise<void>;
  close(): void;
}

export function createPrivilegedApis(options: PrivilegedApisOptions): PrivilegedApis {
  const exits = new ExitWatch(options);
  const listeners = [createAdmin(options, exits), createBroker(options, exits), createProbes(options)].filter(
    (listener) => listener !== undefined,
  );
  return {
    async listen() {
      for (const listener of listeners) await listener.listen();
    },
    close() {
      for (const listener of listeners) listener.close();
    },
  };
}

function createAdmin(options: PrivilegedApisOptions, exits: ExitWatch): Listener | undefined {
  const { adminSocketPath: socketPath, cache, clock, config, log, metrics, services, settings } = options;
  const { agent } = config;
  const { tracer } = options;
  if (socketPath === undefined) return undefined;
  const delegates = agent.authorized_delegates;
  return new AdminEndpoint({
    socketPath,
    services: [
      ...services,
      (server) => {
        addDebugService(server, { ...options, trustDomain: agent.trust_domain });
      },
      (server) => {
        addLoggerService(server, log);
      },
    ],
    delegation:
      delegates.length === 0 || !agent.apis.delegated_identity
        ? undefined
        : new DelegatedIdentity({
            ...options,
            identities: cache,
            followBundles: (listener) => cache.followBundles(listener),
            authorizedDelegates: settings.authorizedDelegates,
            selectorLogging: settings.selectorLogging,
            maxStreamsPerUid: () => settings.limits.maxStreamsPerUid,
            exits,
          }),
    checks: [checkSwitches(agent.apis)],
    telemetry: createRpcTelemetry({ metrics: metrics.rpc, listener: 'admin', tracer, clock }),
    onRefusedConnection: (why) => {
      metrics.connectionRefused('admin', why);
    },
    access:
      delegates.length === 0
        ? OWNER_ALONE
        : delegatesAccess(agent.admin_socket_group, agent.admin_socket_mode),
    clock,
    log,
  });
}

function createBroker(options: PrivilegedApisOptions, exits: ExitWatch): Listener | undefined {
  const { agentSvid, cache, clock, config, metrics, tracer } = options;
  const { broker } = config.agent;
  if (broker === undefined) return undefined;
  const { bind_address: address, socket_path: path } = broker;
  return new BrokerEndpoint({
    ...options,
    identities: cache,
    addresses: [
      ...(path === undefined ? [] : [{ path: resolve(path) }]),
      ...(address === undefined ? [] : [address]),
    ],
    identity: agentSvid,
    bundle: (name) => cache.bundle(name),
    policy: new BrokerPolicy(broker.brokers),
    telemetry: createRpcTelemetry({ metrics: metrics.rpc, listener: 'broker', tracer, clock }),
    maxStreamsPerBroker: broker.max_streams_per_broker,
    exits,
  });
}

function createProbes({ config, health, log }: PrivilegedApisOptions): Listener | undefined {
  const { health_checks: settings } = config;
  return settings.listener_enabled ? createHealthListener(settings, { health, log }) : undefined;
}
