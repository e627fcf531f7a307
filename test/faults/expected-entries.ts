/** What the registry may hold, as operators know who remember every answer; and what the SVIDs of its entries have ever had to say. */
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';

/** Of an entry: what it may be now. Two things, when the server died over a change and nobody knows whether it was made. */
type Possible = readonly string[];

const GONE = 'gone';

interface Certified {
  /** Of the agent that may have it. */
  readonly parentPath: string;
  /** When its loss was acknowledged, as `performance.now()` has it; undefined as long as it may be there. */
  goneAtMs: number | undefined;
}

export class ExpectedEntries {
  readonly #possible = new Map<string, Possible>();
  /** Creates that were never answered, by path. */
  readonly #doubtfulPaths = new Set<string>();
  readonly #certified = new Map<string, Certified>();

  /** Entries that are known to be there. */
  get present(): number {
    return [...this.#possible.values()].filter((possible) => !possible.includes(GONE)).length;
  }

  get deleted(): number {
    return [...this.#possible.values()].filter((possible) => possible.length === 1 && possible[0] === GONE)
      .length;
  }

  get doubtful(): number {
    return this.#doubtfulPaths.size + [...this.#possible.values()].filter(({ length }) => length > 1).length;
  }

  /** Asked for; nobody knows more until it is answered. */
  wished(entry: EntryContent): void {
    this.#doubtfulPaths.add(pathOf(entry));
    this.#certified.set(certifiedOf(entry), {
      parentPath: entry.parentId?.path ?? '',
      goneAtMs: undefined,
    });
  }

  created(entry: Entry__Output): void {
    this.#doubtfulPaths.delete(pathOf(entry));
    this.#possible.set(entry.id, [describe(entry)]);
  }

  updating(old: Entry__Output, wished: Entry__Output): void {
    this.#possible.set(old.id, [describe(old), describe(wished)]);
    this.#certified.set(certifiedOf(wished), {
      parentPath: wished.parentId?.path ?? '',
      goneAtMs: undefined,
    });
  }

  /** @returns whether it became what was wished. */
  updated(old: Entry__Output, updated: Entry__Output): boolean {
    const isExpected = this.#possible.get(old.id)?.[1] === describe(updated);
    this.#possible.set(old.id, [describe(updated)]);
    if (certifiedOf(old) !== certifiedOf(updated)) this.#lost(old);
    return isExpected;
  }

  deleting({ id }: Entry__Output): void {
    this.#possible.set(id, [...(this.#possible.get(id) ?? []), GONE]);
  }

  deletedNow(entry: Entry__Output): void {
    this.#possible.set(entry.id, [GONE]);
    this.#lost(entry);
  }

  /** @returns each difference from what a server lists; none is expected. */
  differences(listed: readonly Entry__Output[]): readonly string[] {
    const differences: string[] = [];
    const present = new Map(listed.map((entry) => [entry.id, entry]));
    for (const [id, possible] of this.#possible) {
      const entry = present.get(id);
      const state = entry === undefined ? GONE : describe(entry);
      if (!possible.includes(state)) differences.push(`${id} is ${state}; expected ${possible.join(' or ')}`);
    }
    for (const [id, entry] of present) {
      if (!this.#possible.has(id) && !this.#doubtfulPaths.has(pathOf(entry)))
        differences.push(`${id} at ${pathOf(entry)} was created by nobody`);
    }
    return differences;
  }

  /**
   * @param settledAtMs when all servers and agents agreed last, as `performance.now()` has it.
   * @returns why an agent must not have handed out the SVID at that time; undefined when it may.
   */
  objection(
    certified: string,
    parentPath: string,
    seenAtMs: number,
    settledAtMs: number,
  ): string | undefined {
    const known = this.#certified.get(certified);
    if (known === undefined) return 'is of no entry there ever was';
    if (known.parentPath !== parentPath) return `is for ${known.parentPath}`;
    // Until all had settled, a server that was cut off could not know that the entry had changed.
    if (known.goneAtMs !== undefined && known.goneAtMs < settledAtMs && seenAtMs > settledAtMs)
      return 'is of an entry that was changed or deleted long before';
    return undefined;
  }

  #lost(entry: Entry__Output): void {
    const certified = this.#certified.get(certifiedOf(entry));
    if (certified !== undefined) certified.goneAtMs = performance.now();
  }
}

interface EntryContent {
  readonly spiffeId?: { readonly path?: string } | null;
  readonly parentId?: { readonly path?: string } | null;
  readonly dnsNames?: readonly string[];
  readonly hint?: string;
}

/** What its SVID says of an entry, in one text; another after every change. */
export function certifiedOf({ spiffeId, dnsNames = [] }: EntryContent): string {
  return [spiffeId?.path ?? '', dnsNames.join()].join(' ');
}

/** All that the Workload API shows of an entry. */
export function identityOf(entry: EntryContent): string {
  return [certifiedOf(entry), entry.hint ?? ''].join(' ');
}

function pathOf({ spiffeId }: EntryContent): string {
  return spiffeId?.path ?? '';
}

/** All of it, so that any difference shows. */
function describe(entry: Entry__Output): string {
  const { spiffeId, parentId, selectors, dnsNames, x509SvidTtl, hint, revisionNumber, createdAt } = entry;
  return JSON.stringify({
    spiffeId,
    parentId,
    selectors: selectors.map(({ type, value }) => `${type}:${value}`).sort(),
    ...{ dnsNames, x509SvidTtl, hint, revisionNumber, createdAt },
  });
}
