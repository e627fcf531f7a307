/** Whom entries would reach if some of them were changed: worked out beside the graph, and good only until the graph changes. */
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryIndex } from './entry-index.js';
import type { NodeIndex } from './node-index.js';
import { agentsUnder, type Bearer, type Bearers } from './reach.js';

/** Before and after of one entry; one of them absent: it comes or goes. */
export interface SupposedChange {
  readonly before: SupposedEntry | undefined;
  readonly after: SupposedEntry | undefined;
}

export interface SupposedEntry extends Pick<
  RegistrationEntryContent,
  'spiffeId' | 'parentId' | 'selectors' | 'expiresAt'
> {
  /** Undefined while it has none. */
  readonly id: string | undefined;
}

interface SupposedReachOptions {
  readonly entries: EntryIndex;
  readonly nodes: NodeIndex;
  readonly changes: readonly SupposedChange[];
  readonly nowMs: number;
  /** Whether the agent may hold anything. */
  readonly isTrusted: (agentId: SpiffeId) => boolean;
}

const NOBODY: ReadonlySet<SpiffeId> = new Set();

export class SupposedReach {
  readonly #options: SupposedReachOptions;
  readonly #after: SupposedEntries;
  readonly #reached = new Map<SpiffeId, { before: ReadonlySet<SpiffeId>; after: ReadonlySet<SpiffeId> }>();

  constructor(options: SupposedReachOptions) {
    this.#options = options;
    this.#after = new SupposedEntries(options.entries, options.changes);
  }

  /** The agents that may hold the entry. The same set for both times where it is the same. */
  agents(when: 'before' | 'after', entry: SupposedEntry | undefined): ReadonlySet<SpiffeId> {
    const { entries, nowMs } = this.#options;
    if (entry === undefined || entries.isAlias(entry) || !isLive(entry, nowMs)) return NOBODY;
    return this.#under(entry.parentId)[when];
  }

  /** Those that give the SPIFFE ID to workloads now, or would. */
  givers(when: 'before' | 'after', spiffeId: SpiffeId): readonly SupposedEntry[] {
    const { entries, nowMs } = this.#options;
    const found = [];
    const bearers = when === 'before' ? entries.withSpiffeId(spiffeId) : this.#after.withSpiffeId(spiffeId);
    for (const bearer of bearers) {
      if (!bearer.isAlias && bearer.isLive(nowMs)) found.push(asSupposed(spiffeId, bearer));
    }
    return found;
  }

  /** Entries that are not changed themselves, whose way to the agents the changes may alter; at most so many. */
  *below(limit: number): Generator<SupposedEntry, void, undefined> {
    const { changes, entries } = this.#options;
    const seen = new Set(changes.map(({ before }) => before?.id));
    const roots = new Set(changes.filter((change) => !isSameWay(change, entries)).flatMap(namesOf));
    let left = limit;
    for (const root of roots) {
      if (!entries.hasChildren(root)) continue;
      for (const { id, name, parent, terms, expiresAt } of entries.descendantsOf(root)) {
        if (seen.has(id)) continue;
        if (left === 0) return;
        left -= 1;
        seen.add(id);
        const { selectors } = terms;
        yield { id, spiffeId: name.id, parentId: parent.id, selectors, expiresAt: dateOf(expiresAt) };
      }
    }
  }

  #under(parentId: SpiffeId): { before: ReadonlySet<SpiffeId>; after: ReadonlySet<SpiffeId> } {
    const known = this.#reached.get(parentId);
    if (known !== undefined) return known;
    const { entries, nodes, nowMs, isTrusted } = this.#options;
    const reachIn = (bearers: Bearers): ReadonlySet<SpiffeId> =>
      new Set(agentsUnder(bearers, nodes, [parentId], nowMs).filter(isTrusted));
    const before = reachIn(entries);
    const later = reachIn(this.#after);
    const isSame = before.size === later.size && [...later].every((agentId) => before.has(agentId));
    const reached = { before, after: isSame ? before : later };
    this.#reached.set(parentId, reached);
    return reached;
  }
}

interface SupposedBearer extends Bearer {
  readonly id: string | undefined;
  readonly expiresAt: number | undefined;
}

/** The index with the changes laid over it. */
class SupposedEntries implements Bearers {
  readonly #entries: EntryIndex;
  readonly #gone: ReadonlySet<string | undefined>;
  readonly #come = new Map<SpiffeId, SupposedBearer[]>();

  constructor(entries: EntryIndex, changes: readonly SupposedChange[]) {
    this.#entries = entries;
    this.#gone = new Set(changes.map(({ before }) => before?.id));
    for (const { after } of changes) {
      if (after === undefined) continue;
      const bearers = this.#come.get(after.spiffeId) ?? [];
      bearers.push(bearerOf(after, entries.isAlias(after)));
      this.#come.set(after.spiffeId, bearers);
    }
  }

  *withSpiffeId(spiffeId: SpiffeId): Generator<SupposedBearer, void, undefined> {
    for (const bearer of this.#entries.withSpiffeId(spiffeId)) if (!this.#gone.has(bearer.id)) yield bearer;
    yield* this.#come.get(spiffeId) ?? [];
  }
}

function bearerOf(entry: SupposedEntry, isAlias: boolean): SupposedBearer {
  const { id, parentId, selectors, expiresAt } = entry;
  return {
    id,
    isAlias,
    parent: { id: parentId },
    terms: { selectors },
    expiresAt: expiresAt?.getTime(),
    isLive: (nowMs) => isLive(entry, nowMs),
  };
}

function asSupposed(spiffeId: SpiffeId, { id, parent, terms, expiresAt }: SupposedBearer): SupposedEntry {
  const { selectors } = terms;
  return { id, spiffeId, parentId: parent.id, selectors, expiresAt: dateOf(expiresAt) };
}

function isLive({ expiresAt }: SupposedEntry, nowMs: number): boolean {
  return expiresAt === undefined || expiresAt.getTime() > nowMs;
}

/** Whether who reaches what through the entry stays as it is. */
function isSameWay({ before, after }: SupposedChange, entries: EntryIndex): boolean {
  if (before === undefined || after === undefined) return false;
  return (
    before.spiffeId === after.spiffeId &&
    before.parentId === after.parentId &&
    before.expiresAt?.getTime() === after.expiresAt?.getTime() &&
    !entries.isAlias(after)
  );
}

function namesOf({ before, after }: SupposedChange): readonly SpiffeId[] {
  return [before, after].flatMap((entry) => entry?.spiffeId ?? []);
}

function dateOf(ms: number | undefined): Date | undefined {
  return ms === undefined ? undefined : new Date(ms);
}
