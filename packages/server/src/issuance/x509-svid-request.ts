/** What the rooms ask of issuance: everything the certificate will say, and a CSR of which only the key is taken. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface X509SvidRequest {
  /** PKCS#10, DER. Its signature proves possession of the key; every name in it is ignored. */
  readonly csr: Buffer;
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  /** Seconds of life wanted; cut so that the SVID never outlives its authority. */
  readonly ttlSeconds: number;
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
