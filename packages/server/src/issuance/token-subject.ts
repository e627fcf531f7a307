/** Whose tokens are signed here: of members of the own trust domain. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { pathOf, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

/** @throws BonafideError `invalid_argument`. */
export function checkTokenSubject(trustDomain: TrustDomain, spiffeId: SpiffeId, what: string): void {
  if (trustDomainOf(spiffeId) !== trustDomain) {
    throw invalidArgument(`${spiffeId} is not in trust domain ${trustDomain}`);
  }
  if (pathOf(spiffeId) === '') throw invalidArgument(`${spiffeId} has no path; ${what} needs one`);
}
