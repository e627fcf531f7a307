/** The answer to the question why a process has the identity that it has, or none. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { DepartedEntry } from './departed-entries.js';
import type { MatchedEntry } from './matched-entries.js';
import type { NearMiss } from './near-misses.js';
import type { ProcessFacts } from './process-facts.js';

export interface Explanation {
  readonly process: ProcessFacts;
  readonly findings: readonly Finding[];
  /** Why the process cannot be attested at all; undefined: it can. */
  readonly attestationProblem: string | undefined;
  /** The process's default first. */
  readonly matched: readonly MatchedEntry[];
  /** The closest first. */
  readonly nearMisses: readonly NearMiss[];
  /** Entries that matched until lately, the latest first. */
  readonly departed: readonly DepartedEntry[];
  /** Undefined: it was not asked. */
  readonly server: ServerWord | undefined;
  readonly agent: AgentCondition;
  /** For the process itself, which is not told what it lacks. */
  readonly isPartial: boolean;
  readonly now: Date;
}

export interface Finding {
  readonly attestor: string;
  readonly durationMs: number;
  readonly selectors: readonly Selector[];
  /** Why it failed. */
  readonly problem: string | undefined;
}

export interface AgentCondition {
  readonly agentId: string | undefined;
  readonly svidExpiresAt: Date | undefined;
  readonly isConnected: boolean;
  readonly lastSyncAt: Date | undefined;
  readonly serverAddress: string | undefined;
  readonly isQuarantined: boolean;
  readonly quarantineReason: string | undefined;
  readonly entries: number;
}

export interface ServerWord {
  /** Why it has nothing to say; undefined: it answered. */
  readonly problem: string | undefined;
  readonly entries: readonly WithheldEntry[];
  readonly hasMore: boolean;
  readonly revision: number;
  readonly acknowledgedRevision: number;
  /** Selectors that may hold secrets were not shown to it. */
  readonly isWithoutSecrets: boolean;
}

export interface WithheldEntry {
  readonly entryId: string;
  /** As `bonafide.entry.v1.WithheldEntry.Reason`. */
  readonly reason: string;
  /** Undefined when the server does not tell. */
  readonly spiffeId: string | undefined;
  readonly parentId: string | undefined;
  readonly expiresAt: Date | undefined;
}

/** Somebody who can be asked about a workload that the agent cannot account for. */
export interface ServerWitness {
  ask(question: {
    readonly selectors: readonly Selector[];
    readonly heldEntryIds: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<ServerWord>;
}
