/** The authority that signs now, as issuance sees it. */
import type { Signer } from './key-manager.js';

export interface X509SigningAuthority {
  readonly authorityId: string;
  /** DER of the CA certificate. */
  readonly certificate: Buffer;
  /** What is sent after the leaf: empty for a self-signed authority. */
  readonly intermediates: readonly Buffer[];
  readonly signer: Signer;
  readonly notAfter: Date;
}

export interface SigningAuthorities {
  /** @throws BonafideError `unavailable` when none is active yet or the active one has expired. */
  activeX509(): X509SigningAuthority;
}
