/** How long a proof of possession may live (WIT-SVID section 7.2: as short as can be), and by how much clocks may be apart. */

export interface ProofLimits {
  /** The longest life of a proof, in seconds; 300 unless told. */
  readonly maxLifetimeSeconds?: number | undefined;
  /** By how much clocks may be apart, in seconds; 60 unless told. */
  readonly leewaySeconds?: number | undefined;
}

/** Of the proofs that are made here. */
export const DEFAULT_LIFETIME_SECONDS = 60;
export const DEFAULT_MAX_LIFETIME_SECONDS = 300;
/** The longest nonce or `jti` that is looked at. */
export const MAX_PROOF_ID_CHARACTERS = 256;
