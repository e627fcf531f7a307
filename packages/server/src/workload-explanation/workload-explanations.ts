/** Which entries a workload's selectors would earn it, if its agent were given them; answered from memory, a little at a time. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { Turn } from '@bonafide/shared/runtime/turn';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AgentRevisions } from '../delivery/agent-revisions.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { GraphEntry } from '../entry-graph/graph-entry.js';
import type { Standing } from '../entry-graph/standing.js';

/** What agents are told of entries that they do not hold. */
export const DISCLOSURES = ['none', 'reasons', 'full'] as const;
export type Disclosure = (typeof DISCLOSURES)[number];

export interface WithheldEntry {
  readonly entryId: string;
  readonly standing: Standing;
  /** Undefined when the agent is not to know. */
  readonly names: { readonly spiffeId: SpiffeId; readonly parentId: SpiffeId } | undefined;
  readonly expiresAt: Date | undefined;
}

export interface WorkloadAccount {
  /** What the agent should have first. */
  readonly entries: readonly WithheldEntry[];
  readonly hasMore: boolean;
  readonly revision: number;
  readonly acknowledgedRevision: number;
}

interface WorkloadExplanationOptions {
  readonly graph: Pick<EntryGraph, 'entriesAt' | 'standings' | 'revision'>;
  readonly receipts: Pick<AgentRevisions, 'stateOf'>;
  /** Asked for each question. */
  readonly disclosure: () => Disclosure;
  readonly clock: Clock;
}

export interface WorkloadQuestion {
  readonly agentId: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly heldEntryIds: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

const MOST_ENTRIES = 20;
const MOST_WAITING = 16;
const PLACES_AT_ONCE = 64;
const RETRY_AFTER_MS = 5_000;

/** The first is what an operator wants to know first. */
const ORDER = {
  authorized: 0,
  expired: 1,
  parent_expired: 2,
  stores_svid: 3,
  unknown_parent: 4,
  node_alias: 5,
  other_parent: 6,
} as const satisfies Record<Standing, number>;

interface Found {
  readonly entry: GraphEntry;
  readonly standing: Standing;
}

export class WorkloadExplanations {
  readonly #options: WorkloadExplanationOptions;
  /** One walk at a time. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: WorkloadExplanationOptions) {
    this.#options = options;
  }

  /**
   * @throws BonafideError `permission_denied` when agents are told nothing; `resource_exhausted` when too many ask at once; `cancelled` by
   * the signal.
   */
  async account(question: WorkloadQuestion): Promise<WorkloadAccount> {
    const { graph, receipts } = this.#options;
    const disclosure = this.#options.disclosure();
    if (disclosure === 'none') {
      throw new BonafideError(
        'permission_denied',
        'this server does not tell agents of entries that they do not hold; its setting explain_to_agents allows it',
      );
    }
    const { entries, hasMore } = await this.#inTurn(() => this.#walk(question));
    return {
      entries: entries.map((found) => withheld(found, disclosure)),
      hasMore,
      revision: graph.revision,
      acknowledgedRevision: receipts.stateOf(question.agentId).appliedRevision,
    };
  }

  async #inTurn<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    if (this.#waiting >= MOST_WAITING) {
      const text = `${this.#waiting} agents ask about workloads already; ask again later`;
      throw new BonafideError('resource_exhausted', text, { retryAfterMs: RETRY_AFTER_MS });
    }
    this.#waiting += 1;
    const answer = this.#last.then(work);
    this.#last = answer.catch(() => undefined); // whoever asked is told
    try {
      return await answer;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #walk({ agentId, heldEntryIds, selectors, signal }: WorkloadQuestion): Promise<{
    readonly entries: readonly Found[];
    readonly hasMore: boolean;
  }> {
    const { clock, graph } = this.#options;
    const presented = valuesByType(selectors);
    const found: Found[] = [];
    let hasMore = false;
    const turn = new Turn(clock);
    let standings = graph.standings(agentId);
    let place: number | undefined = 0;
    while (place !== undefined) {
      if (signal.aborted) throw new BonafideError('cancelled', 'the agent went away');
      const stretch: ReturnType<typeof graph.entriesAt> = graph.entriesAt(place, PLACES_AT_ONCE);
      place = stretch.next;
      for (const entry of stretch.items) {
        if (!isAmong(entry.terms.selectors, presented) || heldEntryIds.has(entry.id)) continue;
        putInOrder(found, { entry, standing: standings.of(entry) });
        if (found.length <= MOST_ENTRIES) continue;
        hasMore = true;
        found.pop();
      }
      if (!turn.isOver) continue;
      await turn.next();
      standings = graph.standings(agentId);
    }
    return { entries: found, hasMore };
  }
}

function withheld({ entry, standing }: Found, disclosure: Disclosure): WithheldEntry {
  // Of what it may have, or had until it expired, the agent knows the rest.
  const isOwn = ['authorized', 'stores_svid', 'expired', 'parent_expired'].includes(standing);
  return {
    entryId: entry.id,
    standing,
    names:
      isOwn || disclosure === 'full' ? { spiffeId: entry.name.id, parentId: entry.parent.id } : undefined,
    expiresAt: entry.expiresAt === undefined ? undefined : new Date(entry.expiresAt),
  };
}

/** Compared without making a text of each selector of a million entries. */
function valuesByType(selectors: readonly Selector[]): ReadonlyMap<string, ReadonlySet<string>> {
  const values = new Map<string, Set<string>>();
  for (const { type, value } of selectors) {
    const ofType = values.get(type);
    if (ofType === undefined) values.set(type, new Set([value]));
    else ofType.add(value);
  }
  return values;
}

function isAmong(
  selectors: readonly Selector[],
  presented: ReadonlyMap<string, ReadonlySet<string>>,
): boolean {
  for (const { type, value } of selectors) if (presented.get(type)?.has(value) !== true) return false;
  return selectors.length > 0;
}

/** An entry that moves while the walk pauses can be seen twice. */
function putInOrder(found: Found[], given: Found): void {
  const known = found.findIndex(({ entry }) => entry.id === given.entry.id);
  if (known >= 0) found.splice(known, 1);
  const place = found.findIndex((each) => compare(given, each) < 0);
  found.splice(place < 0 ? found.length : place, 0, given);
}

function compare(a: Found, b: Found): number {
  const byStanding = ORDER[a.standing] - ORDER[b.standing];
  if (byStanding !== 0) return byStanding;
  return a.entry.id < b.entry.id ? -1 : a.entry.id > b.entry.id ? 1 : 0;
}
