/** What a server signs with is in the records and in the bundle, or nobody believes it: put back when the database has lost it. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AuthorityRecord } from '../store/authority-record.js';
import type { WriteTransaction } from '../store/store.js';
import { appendToBundle } from '../trust-bundle/merge-bundle.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import type { AuthorityMaker } from './authority-maker.js';

/** @param records ours, as the database has them. */
export function isMissing<Authority extends AuthorityRecord>(
  signing: readonly Authority[],
  records: readonly Authority[],
  bundle: TrustBundle,
  maker: AuthorityMaker<Authority>,
): boolean {
  const ids = new Set(records.map(({ authorityId }) => authorityId));
  return signing.some(
    (record) => !ids.has(record.authorityId) || appendToBundle(bundle, maker.additionsOf(record)) !== bundle,
  );
}

/** A database that was restored knows older ones, which then are old; what was revoked stays away. */
export async function putBack<Authority extends AuthorityRecord>(
  transaction: WriteTransaction,
  {
    signing,
    ours,
    trustDomain,
    maker,
  }: {
    readonly signing: readonly Authority[];
    readonly ours: (records: readonly AuthorityRecord[]) => readonly Authority[];
    readonly trustDomain: TrustDomain;
    readonly maker: AuthorityMaker<Authority>;
  },
): Promise<void> {
  const revoked = new Set(await transaction.authorities.listRevoked());
  const kept = signing.filter(({ authorityId }) => !revoked.has(authorityId));
  const keptIds = new Set(kept.map(({ authorityId }) => authorityId));
  const present = ours(await transaction.authorities.list());
  await retire(
    transaction,
    present.filter(({ slot, authorityId }) => slot !== 'old' && !keptIds.has(authorityId)),
  );
  for (const record of kept) {
    await transaction.authorities.put(record);
    await editOwnBundle(transaction, trustDomain, (bundle) =>
      appendToBundle(bundle, maker.additionsOf(record)),
    );
  }
}

export async function retire(
  transaction: WriteTransaction,
  records: readonly AuthorityRecord[],
): Promise<void> {
  for (const record of records) await transaction.authorities.put({ ...record, slot: 'old' });
}
