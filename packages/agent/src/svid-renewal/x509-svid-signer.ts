/** What the SVID cache asks of the server: certificates for entries, in batches, with an answer for each. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface SigningRequest {
  readonly entryId: string;
  /** DER. */
  readonly csr: Buffer;
}

export type SigningResult =
  | { readonly kind: 'signed'; readonly certificateChain: readonly Buffer[] }
  | { readonly kind: 'refused'; readonly error: BonafideError };

export interface X509SvidSigner {
  /**
   * One result for each request, in their order.
   * @param secondsLeft of the present SVID that ends first; undefined when none of the entries has one.
   * @throws BonafideError when the batch as a whole failed; `retryAfterMs` says when to come again, if the server said so.
   */
  sign(
    requests: readonly SigningRequest[],
    secondsLeft: number | undefined,
    signal: AbortSignal,
  ): Promise<readonly SigningResult[]>;
}
