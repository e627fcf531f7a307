/** Who is registered: agents and entries, those that expire, and the streams that tell agents of them. */
import type { TellOwnAct } from '../audit/own-acts.js';
import { AttestedAgents } from '../node-attestation/attested-agents.js';
import { pruneExpiredNodes } from '../node-attestation/prune-expired-nodes.js';
import { pruneExpiredEntries } from '../registration/prune-expired-entries.js';
import { Registration } from '../registration/registration.js';
import { SelectorSightings } from '../selector-sightings/selector-sightings.js';
import type { Store } from '../store/store.js';
import type { ChangeHistory } from '../sync/change-history.js';
import { WatchStreams } from '../sync/watch-streams.js';
import type { Delivery } from './delivery.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

export interface Registry {
  readonly agents: AttestedAgents;
  readonly agentTtlSeconds: number;
  readonly registration: Registration;
  readonly watchStreams: WatchStreams;
  readonly sightings: SelectorSightings;
}

/** @param history up to what the graph holds now. */
export function startRegistry(
  startup: Startup,
  { store, graph }: Storage,
  { agentIssuer }: Signing,
  delivery: Delivery,
  history: ChangeHistory,
  { tell }: Pick<Telemetry, 'tell'>,
): Registry {
  const { config, clock, log, shutdown, background } = startup;
  const { server } = config;
  const trustDomain = server.trust_domain;
  const agentTtlSeconds = server.agent_ttl ?? server.default_x509_svid_ttl;
  const agents = new AttestedAgents({ store, nodes: graph, issuer: agentIssuer, agentTtlSeconds, log });
  const registration = new Registration({ store, trustDomain, clock });
  const pruning = pruneExpiredEntries({ registration, expiries: graph, tell, clock, log }, background.signal);
  shutdown.add(() => {
    background.abort();
    return pruning;
  });
  startNodePruning(startup, store, agents, tell);
  const sightings = new SelectorSightings({ records: store.selectorSightings, graph, clock, log });
  const forgetting = sightings.keepPruned(background.signal);
  shutdown.add(() => {
    background.abort();
    return forgetting;
  });
  const watchStreams = new WatchStreams({
    ...{ graph, logId: store.logId, trustDomain, clock, log, history },
    receipts: delivery.receipts,
  });
  return { agents, agentTtlSeconds, registration, watchStreams, sightings };
}

function startNodePruning(
  { config: { server }, clock, log, shutdown, background }: Startup,
  store: Store,
  agents: AttestedAgents,
  tell: TellOwnAct,
): void {
  const expiredForSeconds = server.prune_attested_nodes_expired_for;
  if (expiredForSeconds === undefined) return;
  const policy = {
    expiredForSeconds,
    batchSize: server.prune_attested_nodes_batch_size,
    includesTrustedOnFirstUse: server.prune_tofu_nodes,
  };
  const evictIf = agents.evictIf.bind(agents);
  const options = { policy, store, evictIf, tell, random: Math.random, clock, log };
  const pruning = pruneExpiredNodes(options, background.signal);
  shutdown.add(() => {
    background.abort();
    return pruning;
  });
}
