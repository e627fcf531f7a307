/** Trust bundles (SPIFFE Trust Domain and Bundle section 4): the public keys by which a trust domain's SVIDs are verified. */
import type { TrustDomain } from '../spiffe-id/trust-domain.js';

export interface X509Authority {
  /** The CA certificate, DER. */
  readonly certificate: Buffer;
  /** A tainted authority still verifies, but SVIDs under it must be replaced at once. */
  readonly isTainted: boolean;
}

/** A JWT or WIT signing key as the wire carries it. */
export interface TokenAuthority {
  /** PKIX SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly keyId: string;
  readonly expiresAt: Date | undefined;
  readonly isTainted: boolean;
}

export interface TrustBundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly TokenAuthority[];
  readonly witAuthorities: readonly TokenAuthority[];
  /** How often a consumer should ask for a newer one; undefined when the publisher gave no hint. */
  readonly refreshHintSeconds: number | undefined;
  /** Grows with every change of the content. */
  readonly sequenceNumber: number;
}
