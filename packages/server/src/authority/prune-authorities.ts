/** Removes authorities that are past their use, whichever server they were of: one that is gone for good removes nothing itself. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AuthorityRecord } from '../store/authority-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { isPastUse, pruneBundle } from '../trust-bundle/merge-bundle.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';

export interface AuthorityPruningOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of the kind whose records are looked through. */
  readonly maker: { readonly words: string; owns(record: AuthorityRecord): boolean };
}

/** How often records and bundle are looked through for what is not ours and has expired. */
const INTERVAL_MS = 10 * 60_000;

export class AuthorityPruning {
  readonly #options: AuthorityPruningOptions;
  #prunedAt = new Date(0);

  constructor(options: AuthorityPruningOptions) {
    this.#options = options;
  }

  /** @param old ours. */
  async prune(
    old: readonly AuthorityRecord[],
    write: (work: (transaction: WriteTransaction) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { trustDomain, clock, log, maker } = this.#options;
    const now = clock.now();
    const hasPast = old.some((record) => isPastUse(record, now));
    if (!hasPast && Math.abs(now.getTime() - this.#prunedAt.getTime()) < INTERVAL_MS) return;
    this.#prunedAt = now;
    if (!(await this.#findsAny(now))) return;
    let past: readonly string[] = [];
    await write(async (transaction) => {
      // By now another server may have been faster.
      past = this.#past(await transaction.authorities.list(), now);
      for (const authorityId of past) await transaction.authorities.delete(authorityId);
      await transaction.authorities.pruneRevoked(now);
      await editOwnBundle(transaction, trustDomain, (bundle) => pruneBundle(bundle, now, past));
    });
    for (const authorityId of past)
      log.info({ local_authority_id: authorityId }, `expired ${maker.words} removed`);
  }

  /** So that no revision is taken for nothing. */
  async #findsAny(now: Date): Promise<boolean> {
    const { store, trustDomain } = this.#options;
    if (this.#past(await store.authorities.list(), now).length > 0) return true;
    const bundle = await store.bundles.get(trustDomain);
    return bundle !== undefined && pruneBundle(bundle, now) !== bundle;
  }

  /** What of ours is not old yet is the rotation's to retire. */
  #past(records: readonly AuthorityRecord[], now: Date): readonly string[] {
    const { maker, store } = this.#options;
    const past = records.filter(
      (record) =>
        maker.owns(record) &&
        isPastUse(record, now) &&
        (record.slot === 'old' || record.serverId !== store.serverId),
    );
    return past.map(({ authorityId }) => authorityId);
  }
}
