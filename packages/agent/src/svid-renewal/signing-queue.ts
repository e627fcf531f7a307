/** Which entries are signed for next: SVIDs that are about to end, then entries that have none yet, then renewals that can wait. */
import { DueQueue } from './due-queue.js';
import type { Validity } from './renewal-time.js';

export interface NextBatch {
  readonly entryIds: readonly string[];
  /** Of the SVID among those to be replaced that ends first; undefined when the entries have none yet. */
  readonly secondsLeft: number | undefined;
}

/** An SVID of which less than this part of its life is left is about to end: half of what is left at an ordinary renewal. */
const URGENT_PART = 1 / 4;

export class SigningQueue {
  readonly #fresh = new Set<string>();
  /** Falls due when the SVID ends. */
  readonly #renewals = new DueQueue();
  readonly #urgentFrom = new Map<string, number>();

  get size(): number {
    return this.#fresh.size + this.#urgentFrom.size;
  }

  has(entryId: string): boolean {
    return this.#fresh.has(entryId) || this.#urgentFrom.has(entryId);
  }

  /** The entry has no SVID and never had one. */
  addFresh(entryId: string): void {
    this.delete(entryId);
    this.#fresh.add(entryId);
  }

  /** @param validity of the SVID that is to be replaced, which may have ended. */
  addRenewal(entryId: string, { notBefore, notAfter }: Validity): void {
    this.#fresh.delete(entryId);
    this.#renewals.set(entryId, notAfter);
    const lifeMs = notAfter.getTime() - notBefore.getTime();
    this.#urgentFrom.set(entryId, notAfter.getTime() - lifeMs * URGENT_PART);
  }

  delete(entryId: string): void {
    this.#fresh.delete(entryId);
    this.#renewals.delete(entryId);
    this.#urgentFrom.delete(entryId);
  }

  /** Takes out at most `limit` entries of one kind: a server that is busy can then serve those first that cannot wait. */
  take(limit: number, now: Date): NextBatch {
    const urgent = this.#takeRenewals(limit, now, (id) => (this.#urgentFrom.get(id) ?? 0) <= now.getTime());
    if (urgent.entryIds.length > 0) return urgent;
    const fresh: string[] = [];
    for (const id of this.#fresh) {
      if (fresh.length >= limit) break;
      this.#fresh.delete(id);
      fresh.push(id);
    }
    if (fresh.length > 0) return { entryIds: fresh, secondsLeft: undefined };
    return this.#takeRenewals(limit, now, () => true);
  }

  /** Those that end first. */
  #takeRenewals(limit: number, now: Date, isMeant: (entryId: string) => boolean): NextBatch {
    const entryIds: string[] = [];
    const endsMs = this.#renewals.next()?.getTime() ?? 0;
    while (entryIds.length < limit) {
      const id = this.#renewals.firstKey();
      if (id === undefined || !isMeant(id)) break;
      this.delete(id);
      entryIds.push(id);
    }
    return { entryIds, secondsLeft: Math.max(0, Math.floor((endsMs - now.getTime()) / 1000)) };
  }
}
