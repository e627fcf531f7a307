/** How much of everything the attestation benchmark does. */

export interface AttestationSizes {
  /** Attested before anything is measured. */
  readonly warming: number;
  /** One after the other. */
  readonly alone: number;
  /** Several at once. */
  readonly together: number;
  /** Of a software TPM, one after the other. */
  readonly ofSwtpm: number;
  /** Nodes that prove themselves again and again. */
  readonly provers: number;
  readonly warmingProofs: number;
  readonly proofs: number;
  readonly reboots: number;
  readonly listProvers: number;
  readonly listProofs: number;
}

export const FULL: AttestationSizes = {
  ...{ warming: 50, alone: 100, together: 500, ofSwtpm: 50 },
  ...{ provers: 96, warmingProofs: 1_000, proofs: 3_000, reboots: 500 },
  ...{ listProvers: 8, listProofs: 24 },
};

export const QUICK: AttestationSizes = {
  ...{ warming: 4, alone: 10, together: 30, ofSwtpm: 5 },
  ...{ provers: 8, warmingProofs: 100, proofs: 200, reboots: 32 },
  ...{ listProvers: 4, listProofs: 4 },
};
