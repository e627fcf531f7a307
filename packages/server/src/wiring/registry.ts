/** Who is registered: agents and entries, those that expire, and the streams that tell agents of them. */
import { AttestedAgents } from '../node-attestation/attested-agents.js';
import { pruneExpiredEntries } from '../registration/prune-expired-entries.js';
import { Registration } from '../registration/registration.js';
import type { ChangeHistory } from '../sync/change-history.js';
import { WatchStreams } from '../sync/watch-streams.js';
import type { Delivery } from './delivery.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';

export interface Registry {
  readonly agents: AttestedAgents;
  readonly agentTtlSeconds: number;
  readonly registration: Registration;
  readonly watchStreams: WatchStreams;
}

/** @param history up to what the graph holds now. */
export function startRegistry(
  { config: { server }, clock, log, shutdown, background }: Startup,
  { store, graph }: Storage,
  { agentIssuer }: Signing,
  delivery: Delivery,
  history: ChangeHistory,
): Registry {
  const trustDomain = server.trust_domain;
  const agentTtlSeconds = server.agent_ttl ?? server.default_x509_svid_ttl;
  const agents = new AttestedAgents({ store, nodes: graph, issuer: agentIssuer, agentTtlSeconds, log });
  const registration = new Registration({ store, trustDomain, clock });
  const pruning = pruneExpiredEntries({ registration, expiries: graph, clock, log }, background.signal);
  shutdown.add(() => {
    background.abort();
    return pruning;
  });
  const watchStreams = new WatchStreams({
    ...{ graph, logId: store.logId, trustDomain, clock, log, history },
    receipts: delivery.agents,
  });
  return { agents, agentTtlSeconds, registration, watchStreams };
}
