/** Authorizers say which authenticated peers may talk to us; authentication itself comes first and is not theirs. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';

export interface Authorizer {
  /** Completes the sentence "expected …", for error messages. */
  readonly expected: string;
  /** Anything but `true` refuses: an authorizer that forgets to answer, or answers with a promise, lets nobody in. */
  allows(peer: SpiffeId): boolean;
}

/** Every peer whose SVID verifies, of any trust domain whose bundle we hold. */
export function authorizeAny(): Authorizer {
  return { expected: 'any SPIFFE ID', allows: () => true };
}

/** @example authorizeId('spiffe://example.org/billing') @throws BonafideError `invalid_argument` when it is not a SPIFFE ID. */
export function authorizeId(id: string): Authorizer {
  const wanted = parseSpiffeId(id);
  return { expected: wanted, allows: (peer) => peer === wanted };
}

/** @throws BonafideError `invalid_argument` when one is not a SPIFFE ID, or there are none. */
export function authorizeOneOf(ids: readonly string[]): Authorizer {
  const wanted = new Set(ids.map((id) => parseSpiffeId(id)));
  if (wanted.size === 0) throw invalidArgument('no SPIFFE ID to authorize; expected at least one');
  return { expected: `one of ${[...wanted].join(', ')}`, allows: (peer) => wanted.has(peer) };
}

/** Every peer of one trust domain. @param trustDomain `example.org` or `spiffe://example.org`. */
export function authorizeMemberOf(trustDomain: string): Authorizer {
  const wanted = parseTrustDomainOrId(trustDomain);
  return {
    expected: `a member of trust domain ${wanted}`,
    allows: (peer) => trustDomainOf(peer) === wanted,
  };
}

/**
 * A rule of your own. It must answer at once: the handshake waits for it.
 * @example authorizeMatching((id) => id.startsWith('spiffe://example.org/region/eu/'), 'a workload in the EU')
 */
export function authorizeMatching(
  matches: (peer: SpiffeId) => boolean,
  expected = 'a SPIFFE ID that the matcher accepts',
): Authorizer {
  return { expected, allows: (peer) => matches(peer) };
}
