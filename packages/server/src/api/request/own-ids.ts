/** SPIFFE IDs that a request names, held to what they must be: of our trust domain, and an agent or a workload. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import {
  isAgentId,
  isReserved,
  pathOf,
  trustDomainOf,
  type SpiffeId,
} from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

/** @throws BonafideError `invalid_argument`. */
export function checkAgentId(trustDomain: TrustDomain, id: SpiffeId): SpiffeId {
  checkMember(trustDomain, id, 'an agent');
  if (!isAgentId(id)) {
    throw invalidArgument(
      `invalid agent ID: "${id}" is not an agent in trust domain "${trustDomain}"; path is not in the agent namespace`,
    );
  }
  return id;
}

/** @throws BonafideError `invalid_argument`. */
export function checkWorkloadId(trustDomain: TrustDomain, id: SpiffeId): SpiffeId {
  checkMember(trustDomain, id, 'a workload');
  if (isReserved(id)) {
    throw invalidArgument(
      `"${id}" is not a workload in trust domain "${trustDomain}"; path is in the reserved namespace`,
    );
  }
  return id;
}

/** @throws BonafideError `invalid_argument`. */
export function checkMember(trustDomain: TrustDomain, id: SpiffeId, what = 'a member'): SpiffeId {
  if (trustDomainOf(id) !== trustDomain) {
    throw invalidArgument(`"${id}" is not a member of trust domain "${trustDomain}"`);
  }
  if (pathOf(id) === '') {
    throw invalidArgument(`"${id}" is not ${what} in trust domain "${trustDomain}"; path is empty`);
  }
  return id;
}
