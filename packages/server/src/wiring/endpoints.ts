/** Both listeners and the one API behind them, each call authorized. */
import { AgentCalls } from '../access/agent-calls.js';
import { createAuthorization } from '../access/authorize.js';
import { CloseFollowing } from '../access/follow-closely.js';
import { CallerIdentification } from '../access/identify-caller.js';
import { verifyPeer } from '../access/verify-peer.js';
import { AdminListener, prepareSocketFolder } from '../endpoints/admin-listener.js';
import { ApiServer, type ApiHandlers } from '../endpoints/api-server.js';
import { ConnectedPeers } from '../endpoints/connected-peers.js';
import { TlsListener } from '../endpoints/tls-listener.js';
import type { NodeProving } from './node-proofs.js';
import type { Registry } from './registry.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';

interface EndpointParts {
  readonly storage: Storage;
  readonly signing: Signing;
  readonly registry: Registry;
  readonly proving: NodeProving;
  readonly handlers: ApiHandlers;
}

/** Nobody is served before they listen. */
interface Endpoints {
  /** @returns the port. */
  listenForAgents(): Promise<number>;
  listenForOperators(): Promise<void>;
}

const SHUTDOWN_GRACE_MS = 10_000;
const ADMIN_CONNECTIONS = 1000;

export async function createEndpoints(
  startup: Startup,
  {
    storage: { store, graph },
    signing: { serverSvid },
    registry: { agents, watchStreams },
    proving: { schedule },
    handlers,
  }: EndpointParts,
): Promise<Endpoints> {
  const {
    config: { server },
    clock,
    log,
    shutdown,
  } = startup;
  const trustDomain = server.trust_domain;
  const adminIds = new Set(server.admin_ids);
  const peers = new ConnectedPeers();
  const agentCalls = new AgentCalls(graph, (agentId) => {
    schedule.called(agentId);
  });
  const following = new CloseFollowing({ store, graph, clock });
  graph.subscribe(({ resets }) => {
    agentCalls.check(resets);
  });
  const api = new ApiServer({
    peers,
    clock,
    authorization: createAuthorization({
      findPeer: (key) => peers.find(key),
      cutConnection: (key) => {
        peers.cut(key);
      },
      agentCalls,
      identification: new CallerIdentification({
        directory: graph,
        activateRenewedSvid: (agentId, serialNumber) => agents.activateRenewedSvid(agentId, serialNumber),
        followClosely: () => following.follow(),
        adminIds,
        localAdminUids: await prepareSocketFolder(server.socket_path),
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
  const tls = new TlsListener({
    address: server.bind_address,
    port: server.bind_port,
    identity: serverSvid.current(),
    maximumConnections: server.max_connections,
    verifyClient: (chain) =>
      verifyPeer(chain, clock.now(), { trustDomain, adminIds, bundle: (name) => graph.bundle(name) }),
    onConnection: api.serve,
    clock,
    log,
  });
  serverSvid.onUpdate((svid) => {
    tls.update(svid);
  });
  shutdown.add(() => {
    tls.destroyConnections();
    admin.destroyConnections();
  });
  shutdown.add(async () => {
    if (!(await api.shutDown(SHUTDOWN_GRACE_MS))) log.warn('cut calls that did not finish in time');
  });
  shutdown.add(() => {
    watchStreams.stop(); // they never end by themselves
  });
  return {
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
    },
  };
}
