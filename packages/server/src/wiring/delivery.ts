/** Delivery receipts: what agents hold, who has to hold what, and waiting for it. */
import { AgentRevisions } from '../delivery/agent-revisions.js';
import { DeliveryAnswers } from '../delivery/answer-questions.js';
import { ConcernedAgents } from '../delivery/concerned-agents.js';
import { DeliveryWaits } from '../delivery/wait-for-delivery.js';
import type { ChangeHistory } from '../sync/change-history.js';
import type { ReceiptsListener } from '../sync/receipts-listener.js';
import { DeliveryMeter } from '../telemetry/delivery-meter.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

export interface Delivery {
  readonly agents: AgentRevisions;
  readonly concerned: ConcernedAgents;
  readonly waits: DeliveryWaits;
  /** Who is to be told what agents hold. */
  readonly receipts: ReceiptsListener;
}

export function startDelivery(
  { config: { server }, clock, log, shutdown }: Startup,
  { store, graph }: Storage,
  history: ChangeHistory,
  { metrics: { registry } }: Telemetry,
): Delivery {
  const { serverId, deliveries: exchange } = store;
  const agents = new AgentRevisions({ clock, isAttested: (agentId) => graph.node(agentId) !== undefined });
  const concerned = new ConcernedAgents(graph, server.trust_domain, history);
  shutdown.add(() => {
    concerned.stop();
  });
  if (exchange !== undefined) {
    const answers = new DeliveryAnswers({ exchange, agents, concerned, serverId, clock, log });
    shutdown.add(() => answers.stop());
  }
  const waits = new DeliveryWaits({ agents, concerned, serverId, exchange, clock, log });
  const receipts = new DeliveryMeter({ registry, receipts: agents, clock });
  shutdown.add(
    graph.subscribe((change) => {
      receipts.changed(change);
    }),
  );
  return { agents, concerned, waits, receipts };
}
