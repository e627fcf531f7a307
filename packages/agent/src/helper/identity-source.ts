/** Where a helper gets identities from: the Workload API in a process of its own, the cache inside of the agent. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { DeliveredIdentity } from '../svid-store/delivered-identity.js';
import type { IdentityChoice } from './helper-entry.js';

export type IdentityUpdate =
  | { readonly kind: 'identities'; readonly identities: readonly DeliveredIdentity[] }
  /** It is certain that there is none any more: what was written is to go. */
  | { readonly kind: 'withdrawn' };

export interface DeliveredToken {
  readonly token: string;
  readonly expiresAt: Date;
}

export interface IdentitySource {
  /** What there is, and again at every change, until the signal fires. @throws BonafideError when it cannot be had now. */
  identities(signal: AbortSignal): AsyncIterable<IdentityUpdate>;
  /** A JWK Set for each trust domain by name; in the same way. */
  jwtBundles(signal: AbortSignal): AsyncIterable<ReadonlyMap<string, string>>;
  /** @throws BonafideError when it cannot be had now. */
  jwtSvid(audiences: readonly string[], choice: IdentityChoice, signal: AbortSignal): Promise<DeliveredToken>;
}

/** @throws BonafideError `unavailable` when there is none. */
export async function firstUpdate<T>(updates: AsyncIterable<T>): Promise<T> {
  for await (const update of updates) return update;
  throw new BonafideError('unavailable', 'the agent ended the stream without an answer');
}
