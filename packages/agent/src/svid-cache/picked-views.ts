/** Views of what the agent itself takes out of the cache, not for a caller with selectors: chosen entry by entry. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { ENTRIES, IDENTITIES, type ViewKind } from './view-kind.js';
import type { WorkloadUpdate } from './workload-identities.js';
import type { CacheView } from './workload-view.js';

export type EntryCondition = (entry: RegistrationEntry) => boolean;

/** Every entry that was picked, and those that have an SVID which is valid now. */
export interface PickedEntries extends WorkloadUpdate {
  readonly entries: readonly RegistrationEntry[];
}

export const PICKED: ViewKind<PickedEntries> = {
  needsSvids: true,
  isWaiting: () => false,
  compose: (matches, content) => ({
    ...IDENTITIES.compose(matches, content),
    entries: ENTRIES.compose(matches, content).entries,
  }),
  hasSameContent: (a, b) => IDENTITIES.hasSameContent(a, b) && ENTRIES.hasSameContent(a, b),
};

export class PickedViews {
  readonly #conditions = new Map<CacheView, EntryCondition>();

  add(view: CacheView, condition: EntryCondition): void {
    this.#conditions.set(view, condition);
  }

  remove(view: CacheView): void {
    this.#conditions.delete(view);
  }

  all(): Iterable<CacheView> {
    return this.#conditions.keys();
  }

  of(entry: RegistrationEntry): CacheView[] {
    return [...this.#conditions].flatMap(([view, condition]) => (condition(entry) ? [view] : []));
  }
}
