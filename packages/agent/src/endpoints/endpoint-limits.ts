/** How much callers may use of the agent at once; what is not set follows from how many files the agent may have open. */
import { readFileSync } from 'node:fs';

export interface EndpointLimits {
  readonly maxConnections: number;
  /** Of the processes of one user. */
  readonly maxConnectionsPerUid: number;
  readonly maxStreamsPerConnection: number;
  readonly maxStreamsPerUid: number;
  /** New calls, each of which has its caller attested; as many at once after a pause as a user may have streams. */
  readonly callsPerSecondPerUid: number;
  /** How many callers may be looked at at the same time. */
  readonly maxAttestations: number;
  readonly maxAttestationsPerUid: number;
}

/** The socket, the pidfd, and while it is attested the folder in procfs. */
const FILES_PER_CONNECTION = 3;
const FILES_FOR_THE_REST = 500;
const MOST_CONNECTIONS = 10_000;
const FEWEST_CONNECTIONS = 100;
/** What keeps its streams open comes nowhere near it; who asks for tokens should keep them while they are good. */
const CALLS_PER_SECOND = 500;
const MOST_ATTESTATIONS = 256;

/** @param openFiles how many the agent may have. */
export function endpointLimits(
  set: Partial<EndpointLimits> = {},
  openFiles = openFilesLimit(),
): EndpointLimits {
  const affordable = Math.floor((openFiles - FILES_FOR_THE_REST) / FILES_PER_CONNECTION);
  const maxConnections =
    set.maxConnections ?? Math.min(MOST_CONNECTIONS, Math.max(FEWEST_CONNECTIONS, affordable));
  const maxAttestations = set.maxAttestations ?? Math.min(MOST_ATTESTATIONS, maxConnections);
  return {
    maxConnections,
    // Whatever one user does, others still get in.
    maxConnectionsPerUid: set.maxConnectionsPerUid ?? Math.ceil(maxConnections / 2),
    maxStreamsPerConnection: set.maxStreamsPerConnection ?? 100,
    maxStreamsPerUid: set.maxStreamsPerUid ?? maxConnections,
    callsPerSecondPerUid: set.callsPerSecondPerUid ?? CALLS_PER_SECOND,
    maxAttestations,
    maxAttestationsPerUid: set.maxAttestationsPerUid ?? Math.ceil(maxAttestations / 4),
  };
}

/** Node.js raises its own limit to the hard one when it starts. */
function openFilesLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const soft = /^Max open files\s+(\d+|unlimited)\s/m.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}
