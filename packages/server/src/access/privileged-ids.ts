/** IDs that already stand for more than a role: whoever got an SVID of one would have its rights. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryReader } from '../store/entry-record.js';
import type { AuthorizedCallContext } from './call-context.js';
import type { JudgedMint } from './judge-entry.js';
import type { RateLimits } from './rate-limits.js';
import type { AccessScope } from './scope.js';

/**
 * Inside a transaction, what it answers stays true until that has ended.
 * @throws BonafideError `permission_denied` for an ID that has an admin or downstream entry, unless nothing limits the caller.
 */
export async function requireUnprivileged(
  { spiffeId }: { readonly spiffeId: SpiffeId },
  entries: Pick<EntryReader, 'count'>,
  scope: AccessScope | undefined,
): Promise<void> {
  if (scope === undefined) return;
  const admins = await entries.count({ spiffeId, isAdmin: true });
  const downstreams = await entries.count({ spiffeId, isDownstream: true });
  if (admins + downstreams > 0) throw privileged(spiffeId);
}

export function privileged(spiffeId: SpiffeId): BonafideError {
  return new BonafideError('permission_denied', `${spiffeId} has an admin or downstream entry`);
}

interface MintRules {
  readonly entries: Pick<EntryReader, 'count'>;
  readonly rateLimits: Pick<RateLimits, 'take'>;
}

/**
 * Of an SVID that is asked for by hand: what a scoped admin mints counts like what agents have signed.
 * @throws BonafideError `permission_denied`; `resource_exhausted` for too many.
 */
export async function requireMint(
  svid: JudgedMint,
  { entries, rateLimits }: MintRules,
  { scope, peer, signal }: Pick<AuthorizedCallContext, 'scope' | 'peer' | 'signal'>,
): Promise<void> {
  if (scope === undefined) return;
  scope.requireMint(svid);
  await rateLimits.take('signing', peer, 1, signal);
  await requireUnprivileged(svid, entries, scope);
}
