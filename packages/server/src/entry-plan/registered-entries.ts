/** The registry as a plan looks at it: by ID, by what makes entries similar, and by scope. */
import { isLive, type RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Turn } from '@bonafide/shared/runtime/turn';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { similarityText } from './entry-fields.js';
import { isInScope, isOfJoinToken, type EntryScope } from './entry-scope.js';

/** The part of the entry graph that it takes. */
export interface PlannedRegistry {
  entry(id: string): RegistrationEntry | undefined;
  entriesWithSpiffeId(spiffeId: SpiffeId): readonly RegistrationEntry[];
  entriesNamed(
    isWanted: (spiffeId: SpiffeId) => boolean,
    from: number,
    places: number,
  ): { readonly items: readonly RegistrationEntry[]; readonly next: number | undefined };
  bundle(trustDomain: TrustDomain): object | undefined;
}

const PLACES_AT_A_TIME = 5_000;
const NONE: readonly never[] = [];

export class RegisteredEntries {
  readonly #registry: PlannedRegistry;
  readonly #bySpiffeId = new Map<SpiffeId, ReadonlyMap<string, readonly RegistrationEntry[]>>();

  constructor(registry: PlannedRegistry) {
    this.#registry = registry;
  }

  get(id: string): RegistrationEntry | undefined {
    return this.#registry.entry(id);
  }

  hasBundle(trustDomain: TrustDomain): boolean {
    return this.#registry.bundle(trustDomain) !== undefined;
  }

  /** Ordered by ID, so that two plans of the same are the same. @param text by `similarityText`. */
  similar(spiffeId: SpiffeId, text: string): readonly RegistrationEntry[] {
    let byText = this.#bySpiffeId.get(spiffeId);
    if (byText === undefined) {
      byText = bySimilarity(this.#registry.entriesWithSpiffeId(spiffeId));
      this.#bySpiffeId.set(spiffeId, byText);
    }
    return byText.get(text) ?? NONE;
  }

  /** What a file with the scope owns now, ordered by ID: neither over, nor the server's own. */
  async inScope(scope: EntryScope, now: Date, turn: Turn): Promise<readonly RegistrationEntry[]> {
    const isWanted = (spiffeId: SpiffeId): boolean => isInScope(scope, spiffeId);
    const found = new Map<string, RegistrationEntry>();
    for (let place: number | undefined = 0; place !== undefined;) {
      if (turn.isOver) await turn.next();
      const { items, next }: ReturnType<PlannedRegistry['entriesNamed']> = this.#registry.entriesNamed(
        isWanted,
        place,
        PLACES_AT_A_TIME,
      );
      for (const entry of items) if (isLive(entry, now) && !isOfJoinToken(entry)) found.set(entry.id, entry);
      place = next;
    }
    return [...found.values()].sort(byId);
  }
}

function bySimilarity(
  entries: readonly RegistrationEntry[],
): ReadonlyMap<string, readonly RegistrationEntry[]> {
  const byText = new Map<string, RegistrationEntry[]>();
  for (const entry of entries.toSorted(byId)) {
    const text = similarityText(entry);
    const similar = byText.get(text);
    if (similar === undefined) byText.set(text, [entry]);
    else similar.push(entry);
  }
  return byText;
}

function byId(a: RegistrationEntry, b: RegistrationEntry): number {
  return a.id < b.id ? -1 : 1;
}
