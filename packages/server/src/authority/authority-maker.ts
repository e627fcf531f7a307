/** What differs between the kinds of signing authority: how one is made and published, and how it is found again in the bundle. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import type { AuthorityRecord } from '../store/authority-record.js';
import type { BundleAdditions } from '../trust-bundle/merge-bundle.js';
import type { Signer } from './key-manager.js';

export interface AuthorityRequest {
  /** Random and URL-safe, unlike that of any other authority. */
  readonly name: string;
  /** Of the server that makes it. */
  readonly serverId: string;
  readonly keyId: string;
  readonly signer: Signer;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface MadeAuthority<Authority extends AuthorityRecord> {
  readonly record: Authority;
  /** Published with it, in the same transaction. */
  readonly additions: BundleAdditions;
}

export interface AuthorityMaker<Authority extends AuthorityRecord> {
  readonly kind: Authority['kind'];
  /** In words, as in `X.509 authority`. */
  readonly words: string;
  /** Of the key IDs that are ours; a key of another name is none of our business. */
  readonly keyIdPrefix: string;
  readonly keyType: KeyType;
  owns(record: AuthorityRecord): record is Authority;
  /** @throws BonafideError when an upstream authority cannot be reached or refuses. */
  make(request: AuthorityRequest, signal: AbortSignal): Promise<MadeAuthority<Authority>>;
  /** What of it has to be in the bundle, as far as the record knows: not what stands above it. */
  additionsOf(record: Authority): BundleAdditions;
  /** Whether it must not sign any more, because it or what it stands under is tainted in the bundle. */
  isWithdrawn(bundle: TrustBundle, record: Authority): boolean;
  /** @throws BonafideError `not_found` when it is not in the bundle, `invalid_argument` when it is tainted already. */
  taint(bundle: TrustBundle, authorityId: string): TrustBundle;
  /** @throws BonafideError `not_found` when it is not in the bundle, `invalid_argument` when it is not tainted. */
  revoke(bundle: TrustBundle, authorityId: string): TrustBundle;
}
