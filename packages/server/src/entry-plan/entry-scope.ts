/** What a file of entries owns: the SPIFFE IDs at or below one, whole path segments at a time. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import {
  isReserved,
  parseSpiffeId,
  trustDomainOf,
  type SpiffeId,
} from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export type EntryScope = SpiffeId;

/** @throws BonafideError `invalid_argument`. */
export function parseScope(prefix: string, trustDomain: TrustDomain): EntryScope {
  const scope = parseSpiffeId(prefix);
  if (trustDomainOf(scope) !== trustDomain) {
    throw invalidArgument(`${scope} is not in trust domain ${trustDomain}`);
  }
  if (isReserved(scope)) throw invalidArgument('paths under /spire are kept for servers and agents');
  return scope;
}

/** `/pay` has `/pay` and `/pay/api`, and not `/payments`. */
export function isInScope(scope: EntryScope, spiffeId: SpiffeId): boolean {
  return spiffeId === scope || spiffeId.startsWith(`${scope}/`);
}

/** The server made it for an agent with a join token: it is in nobody's file, and the agent would lose all that hangs under it. */
export function isOfJoinToken({ parentId, selectors }: RegistrationEntry): boolean {
  const [first, second] = selectors;
  return second === undefined && first?.type === 'spiffe_id' && first.value === parentId;
}
