/** Whether an authenticated peer is one that may talk to us. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Authorizer } from '../tls/authorizer.js';

/** @throws BonafideError `permission_denied`; also when the authorizer answers with anything but `true`. */
export function checkAuthorized(authorizer: Authorizer, peer: SpiffeId): void {
  const answer: unknown = authorizer.allows(peer);
  if (answer !== true) {
    throw new BonafideError('permission_denied', `the peer is ${peer}; expected ${authorizer.expected}`);
  }
}
