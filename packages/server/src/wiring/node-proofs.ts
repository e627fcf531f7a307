/** How nodes prove themselves: at first, when they are asked, and in time. */
import type { NodeAttestor } from '../node-attestation/node-attestor.js';
import { LastProven } from '../node-proof/last-proven.js';
import { NodeQuarantine } from '../node-proof/node-quarantine.js';
import { NodeStates } from '../node-proof/node-states.js';
import { ProofSchedule } from '../node-proof/proof-schedule.js';
import { NodeProofs } from '../node-proof/prove-node.js';
import { startNodeAttestors } from './live-node-attestors.js';
import type { Registry } from './registry.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

export interface NodeProving {
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly proofs: NodeProofs;
  readonly schedule: ProofSchedule;
  readonly states: NodeStates;
  readonly quarantine: NodeQuarantine;
}

export async function startNodeProving(
  { config: { server, plugins }, clock, live, log, shutdown, background, moreNodeAttestors }: Startup,
  { store, graph }: Storage,
  { metrics, notices }: Telemetry,
  { watchStreams }: Registry,
): Promise<NodeProving> {
  const trustDomain = server.trust_domain;
  const host = { trustDomain, clock, log, store, signal: background.signal };
  const { attestors, part } = await startNodeAttestors(plugins.NodeAttestor, host);
  live?.add(part);
  for (const [type, attestor] of moreNodeAttestors?.(host) ?? []) attestors.set(type, attestor);
  const parts = { attestors, store, notices, clock, log };
  const lastProven = new LastProven({ proofs: store.nodeProofs, clock, log });
  shutdown.add(() => lastProven.stop());
  const quarantine = new NodeQuarantine(parts);
  const schedule = new ProofSchedule({
    ...{ ...parts, lastProven, streams: watchStreams, nodes: graph },
    quarantine: (agentId, deadlineSeconds) => quarantine.forWantOfProof(agentId, deadlineSeconds),
  });
  const proofs = new NodeProofs({
    ...{ ...parts, lastProven, nodes: graph },
    onProven: (agentId) => {
      schedule.proven(agentId);
    },
  });
  metrics.countQuarantined(() => graph.quarantinedNodes().length);
  const running = schedule.run(background.signal);
  shutdown.add(() => {
    background.abort();
    return running;
  });
  return { attestors, proofs, schedule, states: new NodeStates({ ...parts, lastProven }), quarantine };
}
