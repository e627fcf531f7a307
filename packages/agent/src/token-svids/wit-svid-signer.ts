/** What WIT-SVIDs are asked of: the server, which signs them for the entries of this agent in batches, with an answer for each. */
import type { JwsAlgorithm } from '@bonafide/shared/crypto/jws-algorithm';
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface WitSigningRequest {
  readonly entryId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** With which the key will sign proofs. */
  readonly algorithm: JwsAlgorithm;
}

export type WitSigningResult =
  | { readonly kind: 'signed'; readonly token: string }
  | { readonly kind: 'refused'; readonly error: BonafideError };

export interface WitSvidSigner {
  /**
   * One result for each request, in their order.
   * @throws BonafideError when the batch as a whole failed; `unimplemented` by a server that has no WIT-SVIDs.
   */
  sign(requests: readonly WitSigningRequest[], signal: AbortSignal): Promise<readonly WitSigningResult[]>;
}
