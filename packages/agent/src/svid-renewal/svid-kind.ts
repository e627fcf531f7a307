/** What batch renewal has to know of a kind of SVID: how one is obtained, where it is held, and how long it is good. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Validity } from './renewal-time.js';

export type Obtained<Svid> =
  | { readonly kind: 'svid'; readonly svid: Svid }
  /** A refusal, or an answer that cannot be used. */
  | { readonly kind: 'failed'; readonly error: unknown };

/** Where the SVIDs are held, and whoever waits for them is told. */
export interface SvidHolder<Svid> {
  svid(entryId: string): Svid | undefined;
  /** Ids of the entries whose SVID meets the condition. */
  entriesWithSvid(condition: (svid: Svid) => boolean): readonly string[];
  install(svids: ReadonlyMap<string, Svid>): void;
  /** An attempt has failed: whoever waits is given what there is. */
  settle(entryIds: readonly string[]): void;
  withdraw(entryIds: readonly string[]): void;
}

export interface SvidKind<Svid> {
  /** For the log, as in `X509-SVID`. */
  readonly name: string;
  readonly holder: SvidHolder<Svid>;
  /** Equal for two entries when an SVID that was issued for one serves the other as well. */
  contentKey(entry: RegistrationEntry): string;
  validityOf(svid: Svid): Validity;
  /** Whether it stands under a key that may have been stolen: it may be, because the server signed it just before it knew. */
  isTainted(svid: Svid): boolean;
  /**
   * One result for each entry, in their order.
   * @param secondsLeft of the present SVID that ends first; undefined when these entries have none yet.
   * @throws BonafideError when the batch as a whole failed.
   */
  obtain(
    entries: readonly RegistrationEntry[],
    secondsLeft: number | undefined,
    signal: AbortSignal,
  ): Promise<readonly Obtained<Svid>[]>;
  /** Where SVIDs outlive the process. */
  readonly keeping:
    | { save(entryId: string, contentKey: string, svid: Svid): void; remove(entryId: string): void }
    | undefined;
}
