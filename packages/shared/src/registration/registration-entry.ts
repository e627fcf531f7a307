/** A registration entry: which processes, on which nodes, may hold which SPIFFE ID. */
import type { SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import type { Selector } from './selector.js';

/** What an operator asks for; the store adds id, revision and time of creation. */
export interface RegistrationEntryContent {
  readonly spiffeId: SpiffeId;
  /** The agent, node alias or other entry under which this one is delivered; `/spire/server` makes this entry a node alias. */
  readonly parentId: SpiffeId;
  /** A caller must have them all; normalized, at least one. */
  readonly selectors: readonly Selector[];
  /** Undefined: the server's default. */
  readonly x509SvidTtlSeconds: number | undefined;
  readonly jwtSvidTtlSeconds: number | undefined;
  readonly federatesWith: readonly TrustDomain[];
  readonly isAdmin: boolean;
  readonly isDownstream: boolean;
  /** When the entry ends by itself. */
  readonly expiresAt: Date | undefined;
  /** The first one is also the certificate's common name, as in SPIRE. */
  readonly dnsNames: readonly string[];
  readonly storesSvid: boolean;
  readonly hint: string | undefined;
  readonly disablesX509SvidPrefetch: boolean;
  readonly includesJwtSvidJti: boolean;
}

export interface RegistrationEntry extends RegistrationEntryContent {
  readonly id: string;
  /** Starts at 0 and grows by one with each change of this entry, as SPIRE's `revision_number`. */
  readonly revisionNumber: number;
  readonly createdAt: Date;
}

/** False once the entry has ended by itself: it grants nothing from then on, pruned or not. */
export function isLive(entry: RegistrationEntry, now: Date): boolean {
  return entry.expiresAt === undefined || entry.expiresAt > now;
}
