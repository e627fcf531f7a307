/** What the agent itself is: the SVID by which the server knows it, with its key. */
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

export interface AgentIdentity {
  readonly svid: X509Svid;
  /** Whether the server will take the same evidence again; if not, the SVID must be renewed before it expires. */
  readonly canReattest: boolean;
}
