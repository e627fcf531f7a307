/** Signs the X.509 authority of a downstream server: a signing certificate of this trust domain under the authority that signs now. */
import { MAX_CHAIN_LENGTH } from '@bonafide/shared/crypto/certificate-path';
import {
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { createIntermediateAuthority } from '@bonafide/shared/crypto/intermediate-authority';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, dateFromUnixSeconds, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SigningAuthorities } from '../authority/x509-signing-authority.js';

/** Begins a little in the past, for machines whose clock is behind ours. */
const NOT_BEFORE_CUSHION_SECONDS = 10;

export interface DownstreamAuthorityOptions {
  readonly trustDomain: TrustDomain;
  readonly authorities: SigningAuthorities;
  readonly clock: Clock;
}

export interface DownstreamAuthorityRequest {
  /** PKCS#10, DER. Its signature proves possession of the key; every name in it is ignored. */
  readonly csr: Buffer;
  /** Wanted; cut so that no authority outlives the one above it. */
  readonly ttlSeconds: number;
}

export interface IssuedDownstreamAuthority {
  /** DER: the new CA certificate, then what leads from it to the trust anchor. */
  readonly certificateChain: readonly [Buffer, ...Buffer[]];
  readonly notAfter: Date;
}

/**
 * @throws BonafideError `invalid_argument` for a bad CSR; `unavailable` when no authority is active; `failed_precondition` when the
 * authority may have none below it.
 */
export async function issueDownstreamAuthority(
  { csr, ttlSeconds }: DownstreamAuthorityRequest,
  { trustDomain, authorities, clock }: DownstreamAuthorityOptions,
): Promise<IssuedDownstreamAuthority> {
  const verified = await verifyCertificateSigningRequest(parseCertificateSigningRequest(csr));
  const { certificate, intermediates, signer, notAfter: authorityEnd } = authorities.activeX509();
  const issuer = parseX509Certificate(certificate);
  checkDepth(issuer.pathLength, intermediates);
  const now = dateFromUnixSeconds(unixSeconds(clock.now()));
  const wanted = addSeconds(now, Math.max(1, Math.floor(ttlSeconds)));
  const notAfter = wanted < authorityEnd ? wanted : authorityEnd;
  const cushioned = addSeconds(now, -NOT_BEFORE_CUSHION_SECONDS);
  // Validity that reaches beyond the issuer's is believed by some validators and not by others.
  const notBefore = cushioned > issuer.notBefore ? cushioned : issuer.notBefore;
  const authority = await createIntermediateAuthority({
    trustDomain,
    csr: verified,
    issuer,
    signer,
    notBefore,
    notAfter,
    subject: {
      country: ['US'],
      organization: ['SPIFFE'],
      organizationalUnit: [`DOWNSTREAM-${intermediates.length + 1}`],
    },
  });
  return { certificateChain: [authority, ...intermediates], notAfter };
}

/** Better refused here than believed nowhere. */
function checkDepth(pathLength: number | undefined, intermediates: readonly Buffer[]): void {
  if (pathLength === 0) {
    throw new BonafideError(
      'failed_precondition',
      'the authority of this server allows no authority below it: its upstream authority limits the path length',
    );
  }
  // The new authority and a leaf come before what is sent now.
  if (intermediates.length + 2 > MAX_CHAIN_LENGTH) {
    throw new BonafideError(
      'failed_precondition',
      `servers are nested ${intermediates.length} deep, which is the most`,
    );
  }
}
