/** What an upstream authority signed is looked at before it is used: a mistake above us must not become certificates that nobody believes. */
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { verifyX509Authority } from '@bonafide/shared/crypto/verify-x509-svid';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { MintedX509Authority, X509AuthorityRequest } from './upstream-authority.js';

/** @throws BonafideError `failed_precondition` saying what is wrong with it. */
export function checkMintedAuthority(
  minted: MintedX509Authority,
  request: Pick<X509AuthorityRequest, 'csr'>,
  { trustDomain, now }: { readonly trustDomain: TrustDomain; readonly now: Date },
): MintedX509Authority {
  const { certificateChain, upstreamRoots } = minted;
  try {
    const authority = verifyX509Authority({
      chain: certificateChain,
      authorities: upstreamRoots.map(({ certificate }) => certificate),
      now,
      trustDomain,
    });
    const { spki } = parseCertificateSigningRequest(request.csr);
    if (!authority.subjectPublicKey.spki.equals(spki))
      throw invalidArgument('it is for another key than the one of the request');
    // RFC 5280 sections 4.2.1.2 and 4.2.1.3: a CA has both, and what it signs refers to the first.
    if (authority.subjectKeyId === undefined) throw invalidArgument('it has no subject key identifier');
    if (authority.keyUsages === undefined) throw invalidArgument('it has no key usage');
    return minted;
  } catch (error) {
    throw unusable(errorMessage(error), error);
  }
}

function unusable(problem: string, cause: unknown): BonafideError {
  const message = `the upstream authority signed a certificate that cannot be used: ${problem}`;
  return new BonafideError('failed_precondition', message, { cause });
}
