/** Batches that wait to be signed, and whose turn it is: the most urgent first, the callers of one urgency by turns, and nobody for ever. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { URGENCIES, type Urgency } from './urgency.js';

export interface WaitingBatch {
  readonly caller: SpiffeId;
  readonly urgency: Urgency;
  /** How many items there are. */
  readonly size: number;
  /** Memory that they hold. */
  readonly bytes: number;
}

/** One item of a batch, whose turn has come. */
export interface Turn<Batch extends WaitingBatch> {
  readonly batch: Batch;
  readonly index: number;
}

/**
 * Of so many turns one is of the batch that waits longest, whatever its urgency: an agent that calls everything urgent slows others down
 * and never stops them.
 */
const TURNS_TO_THE_OLDEST = 4;
/** Items of one batch before another caller's turn comes. */
const ITEMS_IN_A_TURN = 16;

export class WaitingBatches<Batch extends WaitingBatch> {
  /** Of each urgency the callers in the order of their turns, and the batches of each in the order of arrival. */
  readonly #byUrgency: Readonly<Record<Urgency, Map<SpiffeId, Set<Batch>>>> = {
    0: new Map(),
    1: new Map(),
    2: new Map(),
    3: new Map(),
  };
  /** In the order of arrival; how many items of each had their turn. */
  readonly #taken = new Map<Batch, number>();
  readonly #itemsOf = new Map<SpiffeId, number>();
  readonly #itemsAt: Record<Urgency, number> = { 0: 0, 1: 0, 2: 0, 3: 0 };
  #bytes = 0;
  #turns = 0;

  /** Items that wait. */
  get items(): number {
    return URGENCIES.reduce<number>((sum, urgency) => sum + this.#itemsAt[urgency], 0);
  }

  get bytes(): number {
    return this.#bytes;
  }

  itemsOf(caller: SpiffeId): number {
    return this.#itemsOf.get(caller) ?? 0;
  }

  /** Items that go before a new batch of this urgency, but for the turns of the oldest. */
  itemsBefore(urgency: Urgency): number {
    return URGENCIES.reduce<number>((sum, other) => (other <= urgency ? sum + this.#itemsAt[other] : sum), 0);
  }

  add(batch: Batch): void {
    const callers = this.#byUrgency[batch.urgency];
    const batches = callers.get(batch.caller) ?? new Set();
    batches.add(batch);
    callers.set(batch.caller, batches);
    this.#taken.set(batch, 0);
    this.#bytes += batch.bytes;
    this.#count(batch, batch.size);
  }

  /** Does nothing when all of it had its turn. */
  remove(batch: Batch): void {
    const taken = this.#taken.get(batch);
    if (taken === undefined) return;
    this.#taken.delete(batch);
    this.#bytes -= batch.bytes;
    this.#count(batch, taken - batch.size);
    const callers = this.#byUrgency[batch.urgency];
    const batches = callers.get(batch.caller);
    batches?.delete(batch);
    if (batches?.size === 0) callers.delete(batch.caller);
  }

  /** At most `most` items, of as many batches as it takes. */
  take(most: number): Turn<Batch>[] {
    const turns: Turn<Batch>[] = [];
    while (turns.length < most) {
      const batch = this.#nextBatch();
      if (batch === undefined) break;
      const from = this.#taken.get(batch) ?? 0;
      const to = Math.min(batch.size, from + Math.min(ITEMS_IN_A_TURN, most - turns.length));
      for (let index = from; index < to; index += 1) turns.push({ batch, index });
      if (to === batch.size) this.remove(batch);
      else {
        this.#taken.set(batch, to);
        this.#count(batch, from - to);
      }
    }
    return turns;
  }

  /** All of it, in the order of arrival. */
  clear(): readonly Batch[] {
    const batches = [...this.#taken.keys()];
    for (const batch of batches) this.remove(batch);
    return batches;
  }

  #nextBatch(): Batch | undefined {
    this.#turns += 1;
    if (this.#turns % TURNS_TO_THE_OLDEST === 0) return first(this.#taken.keys());
    for (const urgency of URGENCIES) {
      const callers = this.#byUrgency[urgency];
      const next = first(callers);
      if (next === undefined) continue;
      const [caller, batches] = next;
      // To the end of the line; what is left of the batch is taken when the caller's turn comes again.
      callers.delete(caller);
      callers.set(caller, batches);
      return first(batches);
    }
    return undefined;
  }

  #count({ caller, urgency }: Batch, change: number): void {
    this.#itemsAt[urgency] += change;
    const items = this.itemsOf(caller) + change;
    if (items === 0) this.#itemsOf.delete(caller);
    else this.#itemsOf.set(caller, items);
  }
}

function first<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}
