/** The authorities that sign tokens now, as issuance sees them. */
import type { Signer } from './key-manager.js';

export interface TokenSigningAuthority {
  /** The `kid` of what it signs and of its key in the bundle; no other authority of the trust domain, of either kind, has it. */
  readonly keyId: string;
  readonly signer: Signer;
  /** Nothing that it signs may outlive it. */
  readonly notAfter: Date;
}

export interface TokenSigningAuthorities {
  /** @throws BonafideError `unavailable` when none is active yet or the active one has expired. */
  activeJwt(): TokenSigningAuthority;
  /** @throws BonafideError `unavailable` when none is active yet or the active one has expired. */
  activeWit(): TokenSigningAuthority;
}
