/** The authority of one kind that signs now, and whether anybody would accept what it signs. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AuthorityRecord } from '../store/authority-record.js';
import type { Signer } from './key-manager.js';

export interface ActiveAuthority<Authority extends AuthorityRecord> {
  readonly record: Authority;
  readonly signer: Signer;
}

/** @throws BonafideError `unavailable` when none is active yet, or nobody would accept what it signs. */
export function checkActive<Authority extends AuthorityRecord>(
  active: ActiveAuthority<Authority> | undefined,
  now: Date,
  words: string,
): ActiveAuthority<Authority> {
  if (active === undefined) throw new BonafideError('unavailable', `no ${words} is active yet`);
  // After the clock was set: nobody would accept what it signs, and the next one is soon there.
  if (active.record.notAfter <= now) throw new BonafideError('unavailable', `the ${words} has expired`);
  if (active.record.notBefore > now) {
    throw new BonafideError('unavailable', `the ${words} is not valid yet: the clock was set back`);
  }
  return active;
}

export function isValid(record: AuthorityRecord | undefined, now: Date): boolean {
  return record !== undefined && record.notBefore <= now && now < record.notAfter;
}
