/** What the rooms ask of issuance: everything the certificate will say, and a CSR of which only the key is taken. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509SigningAuthority } from '../authority/x509-signing-authority.js';

export interface X509SvidRequest {
  /** PKCS#10, DER. Its signature proves possession of the key; every name in it is ignored. */
  readonly csr: Buffer;
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  /** Seconds of life wanted; cut so that the SVID never outlives its authority. */
  readonly ttlSeconds: number;
}

/** The leaf alone. */
export interface WrittenX509Svid {
  /** DER. */
  readonly certificate: Buffer;
  /** Lower-case hex. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface IssuedX509Svid {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first; intermediates follow; never the trust anchor. */
  readonly certificateChain: readonly Buffer[];
  /** Lower-case hex. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface X509SvidIssuer {
  /** @throws BonafideError `invalid_argument` for a bad CSR; `unavailable` when no authority is active. */
  issue(request: X509SvidRequest): Promise<IssuedX509Svid>;
}

/** How one item of a batch ended. */
export type SigningOutcome =
  | { readonly kind: 'issued'; readonly svid: IssuedX509Svid }
  | { readonly kind: 'refused'; readonly error: unknown };

/** Who waits for a batch, and how long it may be made to wait. */
export interface SigningCall {
  /** The agent; each has its share, whatever it claims. */
  readonly caller: SpiffeId;
  /** Life left of the SVID that is nearest to its end among those that the batch replaces; undefined when it replaces none. */
  readonly secondsLeft: number | undefined;
  /** Milliseconds until the caller stops waiting. */
  readonly patienceMs: number;
  /** Memory that the requests hold while they wait. */
  readonly bytes: number;
  /** Fires when the caller has gone. */
  readonly signal: AbortSignal;
}

export interface X509SvidBatchIssuer {
  /**
   * @param requests each made when its turn comes, which may be seconds later: what it throws is the outcome of its item.
   * @throws BonafideError for the batch as a whole: `resource_exhausted` or `unavailable` with the time after which to try again,
   * `cancelled` when the caller has gone.
   */
  issueBatch(
    requests: readonly (() => X509SvidRequest)[],
    call: SigningCall,
  ): Promise<readonly SigningOutcome[]>;
}

export function issuedX509Svid(
  { spiffeId }: X509SvidRequest,
  { certificate, serialNumber, notBefore, notAfter }: WrittenX509Svid,
  { intermediates }: X509SigningAuthority,
): IssuedX509Svid {
  return { spiffeId, certificateChain: [certificate, ...intermediates], serialNumber, notBefore, notAfter };
}
