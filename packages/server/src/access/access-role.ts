/** A role for a team that shares the trust domain with others: which SPIFFE IDs are its own, and what its members may do with them. */
import type { SelectorPattern } from './selector-pattern.js';
import type { DnsNamePattern } from './dns-name-pattern.js';
import type { SpiffeIdPattern } from './spiffe-id-pattern.js';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

/** `read`: see entries; `mint`: have SVIDs signed; `read_agents`: see the agents that its `parents` name. */
export const VERBS = ['read', 'create', 'update', 'delete', 'mint', 'read_agents'] as const;

export type Verb = (typeof VERBS)[number];

export interface AccessRole {
  readonly name: string;
  /** With its closing slash, so that `/team-a/` never covers `/team-ab`: its own are the IDs that start with it. */
  readonly spiffeIdPrefix: string;
  readonly verbs: ReadonlySet<Verb>;
  /** Its entries have no selectors but these. */
  readonly selectors: readonly SelectorPattern[];
  /** Its entries have no parents but these. */
  readonly parents: readonly SpiffeIdPattern[];
  readonly maySet: EntryLimits;
  readonly members: RoleMembers;
}

/** What the entries and minted SVIDs of a role may have besides; admin and downstream no role can give. */
interface EntryLimits {
  readonly federatesWith: ReadonlySet<TrustDomain>;
  readonly dnsNames: readonly DnsNamePattern[];
  readonly storesSvid: boolean;
  /** Undefined: as long as the server lets anybody. */
  readonly mostTtlSeconds: number | undefined;
}

interface RoleMembers {
  readonly spiffeIds: ReadonlySet<SpiffeId>;
  /** Of processes that call over a local socket. */
  readonly uids: ReadonlySet<number>;
  readonly gids: ReadonlySet<number>;
}
