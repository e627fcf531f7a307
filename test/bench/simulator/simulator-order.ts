/** What the benchmark and a process full of simulated agents say to each other. */
import type { AgentsServer } from './attest-agents.js';

/** Given to the process when it starts. */
export interface SimulatorOrder {
  /** The first one attests; each is one that the agents can go to. */
  readonly servers: readonly AgentsServer[];
  readonly agents: number;
  /** Of a SPIFFE ID that all of them have beside their own. */
  readonly aliasPath: string;
}

/** How agents hear of what they are entitled to: by a Watch stream, or as SPIRE's agents do. */
export type Manner = 'watch' | 'poll';

export type Question =
  /** The first so many agents connect, or stop what they did and do it this way; those beyond stop. Answered when all have what is theirs. */
  | {
      readonly kind: 'follow';
      readonly agents: number;
      readonly manner: Manner;
      /** Forgets what they hold, as agents whose disk is empty. */
      readonly isFresh: boolean;
      /** They begin evenly over this time; 0: all at once. */
      readonly overMs: number;
    }
  /** Every agent loses its connection and is silent. */
  | { readonly kind: 'stop' }
  /** Answered when all agents that follow have seen the SPIFFE ID. */
  | { readonly kind: 'arrivals'; readonly spiffeId: string }
  /** Every agent has an SVID signed for each entry that it holds, and keeps them current from now on. */
  | { readonly kind: 'sign' }
  /** Answered when no SVID stands under the authority any more. */
  | { readonly kind: 'replaced'; readonly subjectKeyId: string }
  | { readonly kind: 'state' };

export type Answer =
  | { readonly kind: 'done' }
  /** When each agent had it, in milliseconds since the epoch. */
  | { readonly kind: 'arrived'; readonly atMs: readonly number[] }
  | { readonly kind: 'state'; readonly state: SimulatorState };

export interface SimulatorState {
  /** Agents that follow. */
  readonly following: number;
  /** How many agents hold which set of entries; the name of a set is a digest. */
  readonly holdings: Readonly<Record<string, number>>;
  readonly svids: number;
  readonly polls: number;
  /** Streams and polls that failed, which are tried again; and the last reason. */
  readonly failures: number;
  readonly lastFailure: string | undefined;
  /** How often a server asked an agent to come again later. */
  readonly turnedAway: number;
  readonly snapshots: number;
  readonly deltas: number;
}

/** On the channel between the processes. */
export interface NumberedQuestion {
  readonly number: number;
  readonly question: Question;
}
export type NumberedAnswer =
  | { readonly number: number; readonly answer: Answer }
  | { readonly number: number; readonly error: string }
  /** By itself, when its agents are attested. */
  | { readonly number: 'ready' };
