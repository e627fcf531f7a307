/** Who is calling: decided once per call from the transport, never from what the call says. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { AccessRole } from './access-role.js';

export type Caller =
  /** Connected over the admin Unix socket, as the owner of its folder. */
  | { readonly kind: 'local_admin'; readonly uid: number; readonly pid: number }
  /** An agent whose SVID is unexpired, whose node is attested and not banned, and whose serial number is current. */
  | {
      readonly kind: 'agent';
      readonly agentId: SpiffeId;
      readonly serialNumber: string;
      readonly expiresAt: Date;
    }
  /** The same, of a node that is in quarantine: it may prove what it is, and nothing else. */
  | {
      readonly kind: 'quarantined_agent';
      readonly agentId: SpiffeId;
      readonly serialNumber: string;
      readonly expiresAt: Date;
    }
  /** A workload whose SPIFFE ID is a configured admin or has an admin entry. */
  | { readonly kind: 'admin'; readonly spiffeId: SpiffeId }
  /** Somebody with a role: a workload by its SPIFFE ID, or a local user. Never one who is an admin as well. */
  | {
      readonly kind: 'scoped_admin';
      /** Exactly one of this and `uid` is there. */
      readonly spiffeId: SpiffeId | undefined;
      readonly uid: number | undefined;
      /** At least one. */
      readonly roles: readonly AccessRole[];
    }
  /** A workload whose SPIFFE ID has downstream entries. */
  | {
      readonly kind: 'downstream';
      readonly spiffeId: SpiffeId;
      readonly entries: readonly RegistrationEntry[];
    }
  /** No client certificate, or one that gives no right. */
  | { readonly kind: 'anonymous' };

export type CallerKind = Caller['kind'];
