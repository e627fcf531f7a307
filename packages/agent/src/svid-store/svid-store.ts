/** A place outside of the agent where the SVIDs of entries with `storeSvid` are kept, as SPIRE's SVIDStore plugins are. */
import type { DeliveredIdentity } from './delivered-identity.js';

/** `misplaced`: the entry names no place that it can have; `unchanged`: it is there already. */
export const STORE_RESULTS = ['stored', 'unchanged', 'removed', 'misplaced', 'failed'] as const;
export type StoreResult = (typeof STORE_RESULTS)[number];

export interface SvidStore {
  /**
   * @param destination values of the entry's selectors, all of which have the type of this store.
   * @returns the place, in the store's words.
   * @throws BonafideError `invalid_argument` when they name none.
   */
  place(destination: readonly string[]): string;
  /** @returns whether it is new. @throws BonafideError when it cannot be done now; what was there is still there. */
  put(place: string, identity: DeliveredIdentity): Promise<boolean>;
  /** Harmless when there is nothing. */
  remove(place: string): Promise<void>;
  /** What this store put in an earlier run, or in this one. */
  places(): Promise<readonly string[]>;
}
