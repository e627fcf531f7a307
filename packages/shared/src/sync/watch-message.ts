/** What agent and server say on the Watch stream (bonafide.sync.v1), in domain types; applying a message twice is harmless. */
import type { TrustBundle } from '../bundle/trust-bundle.js';
import type { RegistrationEntry } from '../registration/registration-entry.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';

/** From the agent. */
export type WatchRequest = WatchHello | WatchAcknowledgement;

/** First, and once. */
export interface WatchHello {
  readonly kind: 'hello';
  /** How far the agent got, and in which log, as the server said it; undefined when it holds nothing. */
  readonly cursor: WatchCursor | undefined;
  readonly agentVersion: string;
}

export interface WatchCursor {
  /** Opaque: names the log and the commit. Revisions of another log mean nothing. */
  readonly logId: string;
  readonly revision: number;
}

/** After a snapshot's last page or a delta was applied: the revision it carried. */
interface WatchAcknowledgement {
  readonly kind: 'acknowledgement';
  readonly revision: number;
}

/** From the server. */
export type WatchResponse = WatchSnapshotPage | WatchDelta | WatchDrain | WatchProofRequest;

/** A part of all that the agent may know. What it held before and does not find in any page is gone. */
export interface WatchSnapshotPage {
  readonly kind: 'snapshot_page';
  readonly logId: string;
  /** The same in every page of a snapshot. */
  readonly revision: number;
  readonly entries: readonly RegistrationEntry[];
  /** Of the agent's own trust domain and of those its entries federate with. */
  readonly bundles: readonly TrustBundle[];
  readonly isLast: boolean;
}

/** What changed. A large change comes as several deltas, of which only the last one carries its revision. */
export interface WatchDelta {
  readonly kind: 'delta';
  readonly logId: string;
  readonly revision: number;
  readonly upsertedEntries: readonly RegistrationEntry[];
  readonly removedEntryIds: readonly string[];
  readonly upsertedBundles: readonly TrustBundle[];
  readonly removedBundleTrustDomains: readonly TrustDomain[];
}

/** The server is about to stop: open the next stream at another one, at a moment of your own choice within the spread. */
interface WatchDrain {
  readonly kind: 'drain';
  readonly spreadMs: number;
}

/** Prove the node anew, as soon as you can. Only to an agent whose kind of attestation can be proven again. */
interface WatchProofRequest {
  readonly kind: 'proof_request';
}
