/** Why the server keeps an entry from this agent, in words, and what an operator does about it. */

interface WithheldReason {
  /** Completes "entry 42 …". */
  readonly text: string;
  readonly advice: (entryId: string, agentId: string) => string;
}

const show = (entryId: string): string => `'bonafide-server entry show --entry-id ${entryId}'`;

/** By bonafide.entry.v1.WithheldEntry.Reason. */
export const WITHHELD: Readonly<Record<string, WithheldReason>> = {
  NOT_DELIVERED: {
    text: 'is on its way to this agent',
    advice: (entryId) => `Wait a moment and ask again: entry ${entryId} has not arrived yet`,
  },
  EXPIRED: {
    text: 'has expired',
    advice: (entryId) =>
      `Create the entry anew, or give it another end with 'bonafide-server entry update --entry-expiry': ${entryId} has expired`,
  },
  PARENT_EXPIRED: {
    text: 'hangs under an entry that has expired',
    advice: (entryId) =>
      `Renew the entry above ${entryId}, which has expired: ${show(entryId)} names its parent`,
  },
  STORES_SVID: {
    text: 'is meant for a store of SVIDs (store_svid), not for the Workload API',
    advice: (entryId) => `Take --store-svid from entry ${entryId} if a process is to have it`,
  },
  UNKNOWN_PARENT: {
    text: 'hangs under a parent ID that no agent has',
    advice: (entryId, agentId) =>
      `Correct the parent ID of entry ${entryId} (${show(entryId)}): nobody has it; this agent has ${agentId}, and its aliases`,
  },
  NODE_ALIAS: {
    text: 'hangs under the server: it gives its ID to nodes, never to processes',
    advice: (entryId, agentId) =>
      `Give entry ${entryId} a parent that is a node, for example ${agentId}: under the server it is an alias for nodes`,
  },
  OTHER_PARENT: {
    text: 'exists under another parent',
    advice: (entryId) =>
      `Create entry ${entryId} for this agent too, if the process is to have it here: ${show(entryId)} tells what it says`,
  },
};
