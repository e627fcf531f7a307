/** Both listeners and the one API behind them, each call authorized. */
import { createRpcTelemetry } from '@bonafide/shared/telemetry/rpc-telemetry';
import { AgentCalls } from '../access/agent-calls.js';
import { createAuditedCalls } from '../access/audited-calls.js';
import { createAuthorization } from '../access/authorize.js';
import { CallDenials } from '../access/call-denials.js';
import { CloseFollowing } from '../access/follow-closely.js';
import { CallerIdentification } from '../access/identify-caller.js';
import { verifyPeer } from '../access/verify-peer.js';
import { AdminListener } from '../endpoints/admin-listener.js';
import { ApiServer, type ApiHandlers } from '../endpoints/api-server.js';
import { ConnectedPeers } from '../endpoints/connected-peers.js';
import { TlsListener } from '../endpoints/tls-listener.js';
import type { NodeProving } from './node-proofs.js';
import type { Registry } from './registry.js';
import type { Signing } from './signing.js';
import { createTeamSocket, type Access } from './access.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

interface EndpointParts {
  readonly access: Access;
  readonly storage: Storage;
  readonly signing: Signing;
  readonly registry: Registry;
  readonly proving: NodeProving;
  readonly telemetry: Pick<Telemetry, 'audit' | 'metrics' | 'tracer'>;
  readonly handlers: ApiHandlers;
}

/** Nobody is served before they listen. */
interface Endpoints {
  readonly peers: ConnectedPeers;
  /** @returns the port. */
  listenForAgents(): Promise<number>;
  listenForOperators(): Promise<void>;
}

const SHUTDOWN_GRACE_MS = 10_000;
const ADMIN_CONNECTIONS = 1000;

export async function createEndpoints(
  startup: Startup,
  {
    access,
    storage: { store, graph },
    signing: { serverSvid },
    registry: { agents, watchStreams },
    proving: { schedule },
    telemetry: { audit, metrics, tracer },
    handlers,
  }: EndpointParts,
): Promise<Endpoints> {
  const { config, clock, log, shutdown } = startup;
  const { server } = config;
  const trustDomain = server.trust_domain;
  const { adminIds, localAdminUids, roles, defaultTtls } = access;
  const peers = new ConnectedPeers();
  const agentCalls = new AgentCalls(graph, (agentId) => {
    schedule.called(agentId);
  });
  const following = new CloseFollowing({ store, graph, clock });
  graph.subscribe(({ resets }) => {
    agentCalls.check(resets);
  });
  const denials = new CallDenials({ audit, clock, log });
  const api = new ApiServer({
    peers,
    clock,
    telemetry: createRpcTelemetry({
      metrics: metrics.rpc,
      listener: (key) => (peers.find(key)?.kind === 'local' ? 'admin' : 'tls'),
      tracer,
      // Whoever has an SVID of ours or of a federated domain: an agent, a downstream server, an admin.
      trustsTraces: (key) => {
        const peer = peers.find(key);
        return peer?.kind === 'remote' && peer.svid !== undefined;
      },
      clock,
    }),
    auditing: createAuditedCalls({ audit, denials }),
    authorization: createAuthorization({
      findPeer: (key) => peers.find(key),
      cutConnection: (key) => {
        peers.cut(key);
      },
      ...{ agentCalls, audit, denials },
      identification: new CallerIdentification({
        directory: graph,
        activateRenewedSvid: (agentId, serialNumber) => agents.activateRenewedSvid(agentId, serialNumber),
        followClosely: () => following.follow(),
        adminIds,
        ...{ localAdminUids, roles, defaultTtls },
        clock,
      }),
      clock,
      log,
    }),
    handlers,
  });
  const admin = new AdminListener({
    socketPath: server.socket_path,
    maximumConnections: ADMIN_CONNECTIONS,
    onConnection: api.serve,
    log,
  });
  const teams = await createTeamSocket(startup, api.serve);
  const tls = new TlsListener({
    address: server.bind_address,
    port: server.bind_port,
    identity: serverSvid.current(),
    maximumConnections: server.max_connections,
    verifyClient: (chain) =>
      verifyPeer(chain, clock.now(), {
        trustDomain,
        mayBeAdmin: (id) => adminIds.has(id) || roles.ofSpiffeId(id).length > 0,
        bundle: (name) => graph.bundle(name),
      }),
    onConnection: api.serve,
    clock,
    log,
  });
  serverSvid.onUpdate((svid) => {
    tls.update(svid);
  });
  shutdown.add(() => denials.flush());
  shutdown.add(() => {
    tls.destroyConnections();
    admin.destroyConnections();
    teams?.destroyConnections();
  });
  shutdown.add(async () => {
    if (!(await api.shutDown(SHUTDOWN_GRACE_MS))) log.warn('cut calls that did not finish in time');
  });
  shutdown.add(() => {
    watchStreams.stop(); // they never end by themselves
  });
  return {
    peers,
    listenForAgents: async () => {
      const port = await tls.listen();
      shutdown.add(() => {
        tls.stopAccepting();
      });
      log.info({ network: 'tcp', address: `${server.bind_address}:${port}` }, 'Starting Server APIs');
      return port;
    },
    listenForOperators: async () => {
      await admin.listen();
      shutdown.add(() => {
        admin.stopAccepting();
      });
      log.info({ network: 'unix', address: server.socket_path }, 'Starting Server APIs');
      if (teams === undefined) return;
      await teams.listen();
      shutdown.add(() => {
        teams.stopAccepting();
      });
      log.info({ network: 'unix', address: config.access.socket?.path }, 'Starting Server APIs');
    },
  };
}
