/** How large a run is. */

export interface ScaleSizes {
  readonly agents: number;
  /** Of which the cost is measured one after the other, the last is that of all. */
  readonly agentCounts: readonly number[];
  /** Under the SPIFFE ID that all agents share. */
  readonly entriesOfEach: number;
  readonly idleMs: number;
  readonly longIdleMs: number;
  readonly polledMs: number;
  readonly creations: number;
  readonly polledCreations: number;
  readonly fanOuts: number;
  /** Each agent then has so many SVIDs, which a rotation replaces. */
  readonly svidsOfEach: number;
  readonly registryEntries: number;
  readonly registryAgents: number;
  /** On two servers with PostgreSQL. */
  readonly agentsOfSeveralServers: number;
}

export const FULL: ScaleSizes = {
  agents: 1000,
  agentCounts: [10, 100, 500, 1000],
  entriesOfEach: 10,
  idleMs: 20_000, // an agent sees every 20 s whether the server is still there
  longIdleMs: 60_000,
  polledMs: 15_000,
  creations: 250,
  polledCreations: 100,
  fanOuts: 10,
  svidsOfEach: 100,
  registryEntries: 1_000_000,
  registryAgents: 50_000,
  agentsOfSeveralServers: 1000,
};

export const QUICK: ScaleSizes = {
  agents: 40,
  agentCounts: [10, 40],
  entriesOfEach: 5,
  idleMs: 2_000,
  longIdleMs: 3_000,
  polledMs: 6_000,
  creations: 20,
  polledCreations: 10,
  fanOuts: 3,
  svidsOfEach: 20,
  registryEntries: 20_000,
  registryAgents: 1_000,
  agentsOfSeveralServers: 40,
};
