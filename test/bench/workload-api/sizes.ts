/** How much of everything the Workload API benchmark does. */

export interface WorkloadApiSizes {
  readonly warmingCalls: number;
  readonly capacityMs: number;
  readonly halfLoadMs: number;
  readonly connections: number;
  readonly streamsPerConnection: number;
  /** Envoys, each with a connection and a stream of its own. */
  readonly secretStreams: number;
  readonly updates: number;
  /** In the cache of one agent. */
  readonly svids: number;
  /** How often all of them are renewed. */
  readonly rotations: number;
}

export const FULL: WorkloadApiSizes = {
  ...{ warmingCalls: 500, capacityMs: 2_000, halfLoadMs: 4_000 },
  ...{ connections: 2_000, streamsPerConnection: 5, secretStreams: 1_000, updates: 5 },
  ...{ svids: 1_000, rotations: 5 },
};

export const QUICK: WorkloadApiSizes = {
  ...{ warmingCalls: 50, capacityMs: 300, halfLoadMs: 500 },
  ...{ connections: 40, streamsPerConnection: 5, secretStreams: 40, updates: 3 },
  ...{ svids: 600, rotations: 2 },
};
