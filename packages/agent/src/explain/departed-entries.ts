/** Entries that went lately: whoever had an identity an hour ago and has none now is told which one, and why. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { AuthorizedChange } from '../svid-cache/authorized-change.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';

export interface DepartedEntry {
  readonly entry: RegistrationEntry;
  readonly departedAt: Date;
  /** It ended by itself; otherwise the server took it away. */
  readonly hasExpired: boolean;
}

/** In memory only; the oldest are forgotten. */
const MOST_REMEMBERED = 1_000;

export class DepartedEntries {
  readonly #cache: Pick<SvidCache, 'entry' | 'entries'>;
  readonly #clock: Clock;
  /** The latest last. */
  readonly #departed = new Map<string, DepartedEntry>();

  constructor({
    cache,
    clock,
  }: {
    readonly cache: Pick<SvidCache, 'entry' | 'entries'>;
    readonly clock: Clock;
  }) {
    this.#cache = cache;
    this.#clock = clock;
  }

  /** To be told of a change before the cache is. */
  note(change: AuthorizedChange): void {
    if (change.kind === 'delta') {
      for (const { id } of change.upsertedEntries) this.#departed.delete(id);
      for (const id of change.removedEntryIds) this.#add(this.#cache.entry(id));
      return;
    }
    const present = new Set(change.entries.map(({ id }) => id));
    for (const id of this.#departed.keys()) if (present.has(id)) this.#departed.delete(id);
    for (const entry of this.#cache.entries()) if (!present.has(entry.id)) this.#add(entry);
  }

  /** The latest first. */
  latest(): readonly DepartedEntry[] {
    return [...this.#departed.values()].reverse();
  }

  #add(entry: RegistrationEntry | undefined): void {
    if (entry === undefined) return;
    const departedAt = this.#clock.now();
    const hasExpired = entry.expiresAt !== undefined && entry.expiresAt <= departedAt;
    this.#departed.delete(entry.id);
    this.#departed.set(entry.id, { entry, departedAt, hasExpired });
    const [oldest] = this.#departed.keys();
    if (this.#departed.size > MOST_REMEMBERED && oldest !== undefined) this.#departed.delete(oldest);
  }
}
