/** What a plan does to agents and to the processes on them, followed through the entry graph as far as it is worth while. */
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, isSubset, type Selector } from '@bonafide/shared/registration/selector';
import type { Turn } from '@bonafide/shared/runtime/turn';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { SupposedChange, SupposedEntry, SupposedReach } from '../entry-graph/supposed-reach.js';
import type { PlannedChange } from './planned-change.js';

interface AgentEffect {
  readonly agentId: SpiffeId;
  /** Numbers of entries. */
  readonly gained: number;
  readonly lost: number;
  readonly renewed: number;
}

/** For the processes that have the selectors, on so many agents. */
export interface WorkloadEffect {
  readonly kind: 'gains' | 'loses' | 'renews';
  readonly spiffeId: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly agents: number;
  /** Undefined while the entry has none. */
  readonly entryId: string | undefined;
}

export interface PlanEffects {
  /** Ordered by agent ID. */
  readonly agents: readonly AgentEffect[];
  /** What is lost first. */
  readonly workloads: readonly WorkloadEffect[];
  /** They were too many to be followed to their end. */
  readonly isPartial: boolean;
}

interface EffectLimits {
  /** Entries below changed ones that are looked at. */
  readonly mostBelow: number;
  /** Agents that are looked at, once for each entry. */
  readonly mostSteps: number;
}

interface EffectOptions {
  readonly reach: SupposedReach;
  readonly turn: Turn;
  readonly limits?: EffectLimits;
}

const LIMITS: EffectLimits = { mostBelow: 20_000, mostSteps: 2_000_000 };
const ORDER = { loses: 0, gains: 1, renews: 2 } as const satisfies Record<WorkloadEffect['kind'], number>;

export function supposedChanges(changes: readonly PlannedChange[]): readonly SupposedChange[] {
  return changes.map((change) => ({
    before: change.kind === 'create' ? undefined : change.before,
    after:
      change.kind === 'delete'
        ? undefined
        : supposed(change.kind === 'create' ? change.id : change.before.id, change.after),
  }));
}

/** Pauses now and then; the registry should be the same all the while. */
export function planEffects(changes: readonly PlannedChange[], options: EffectOptions): Promise<PlanEffects> {
  return new Effects(options).of(supposedChanges(changes));
}

type Agents = ReadonlySet<SpiffeId>;

/** Of entries from one set of agents to another one. */
interface Move {
  readonly lost: readonly SpiffeId[];
  readonly stayed: readonly SpiffeId[];
  readonly gained: readonly SpiffeId[];
  /** How many entries make it because they are changed themselves, and how many that hang below such. */
  changed: number;
  unchanged: number;
}

interface Giver {
  readonly selectors: ReadonlySet<string>;
  readonly agents: Agents;
}

class Effects {
  readonly #reach: SupposedReach;
  readonly #turn: Turn;
  readonly #mostBelow: number;
  #stepsLeft: number;
  readonly #moves = new Map<Agents, Map<Agents, Move>>();
  readonly #givers = {
    before: new Map<SpiffeId, readonly Giver[]>(),
    after: new Map<SpiffeId, readonly Giver[]>(),
  };
  readonly #workloads: WorkloadEffect[] = [];
  #isPartial = false;

  constructor({ reach, turn, limits = LIMITS }: EffectOptions) {
    this.#reach = reach;
    this.#turn = turn;
    this.#mostBelow = limits.mostBelow;
    this.#stepsLeft = limits.mostSteps;
  }

  async of(changes: readonly SupposedChange[]): Promise<PlanEffects> {
    for await (const change of this.#turn.through(changes)) this.#follow(change, true);
    let below = 0;
    for await (const entry of this.#turn.through(this.#reach.below(this.#mostBelow))) {
      below += 1;
      this.#follow({ before: entry, after: entry }, false);
    }
    return {
      agents: await this.#agents(),
      workloads: this.#workloads.toSorted((a, b) => ORDER[a.kind] - ORDER[b.kind]),
      isPartial: this.#isPartial || below === this.#mostBelow,
    };
  }

  #follow({ before, after }: SupposedChange, isChanged: boolean): void {
    if (this.#stepsLeft <= 0) {
      this.#isPartial = true;
      return;
    }
    this.#stepsLeft -= 1;
    const had = this.#reach.agents('before', before);
    const has = this.#reach.agents('after', after);
    if (had === has && !isChanged) return;
    const move = this.#move(had, has);
    if (isChanged) move.changed += 1;
    else move.unchanged += 1;
    const lost = before === undefined ? 0 : this.#without(before, had, 'after');
    const gained = after === undefined ? 0 : this.#without(after, has, 'before');
    if (before !== undefined) this.#note('loses', before, lost);
    if (after !== undefined) this.#note('gains', after, gained);
    if (isChanged && after !== undefined && lost === 0 && gained === 0) {
      this.#note('renews', after, move.stayed.length);
    }
  }

  /** Entries that hang in the same place make the same move. */
  #move(had: Agents, has: Agents): Move {
    let moves = this.#moves.get(had);
    if (moves === undefined) this.#moves.set(had, (moves = new Map<Agents, Move>()));
    let move = moves.get(has);
    if (move === undefined) {
      this.#stepsLeft -= had.size + has.size;
      move = {
        lost: [...had].filter((agentId) => !has.has(agentId)),
        stayed: [...had].filter((agentId) => has.has(agentId)),
        gained: [...has].filter((agentId) => !had.has(agentId)),
        changed: 0,
        unchanged: 0,
      };
      moves.set(has, move);
    }
    return move;
  }

  async #agents(): Promise<readonly AgentEffect[]> {
    const counts = new Map<SpiffeId, { gained: number; lost: number; renewed: number }>();
    const add = (
      agentIds: readonly SpiffeId[],
      what: 'gained' | 'lost' | 'renewed',
      number: number,
    ): void => {
      if (number === 0) return;
      for (const agentId of agentIds) {
        let ofAgent = counts.get(agentId);
        if (ofAgent === undefined) counts.set(agentId, (ofAgent = { gained: 0, lost: 0, renewed: 0 }));
        ofAgent[what] += number;
      }
    };
    for (const moves of this.#moves.values()) {
      for await (const { lost, stayed, gained, changed, unchanged } of this.#turn.through(moves.values())) {
        add(lost, 'lost', changed + unchanged);
        add(gained, 'gained', changed + unchanged);
        add(stayed, 'renewed', changed);
      }
    }
    return Array.from(counts, ([agentId, ofAgent]) => ({ agentId, ...ofAgent })).sort((a, b) =>
      a.agentId < b.agentId ? -1 : 1,
    );
  }

  /** On how many of the agents no entry gives the same processes the same SPIFFE ID at the other time. */
  #without(entry: SupposedEntry, agents: Agents, when: 'before' | 'after'): number {
    if (agents.size === 0) return 0;
    const givers = this.#giversOf(when, entry.spiffeId);
    this.#stepsLeft -= givers.length;
    const selectors = textsOf(entry);
    const covers = givers
      .filter((giver) => isSubset(giver.selectors, selectors))
      .map((giver) => giver.agents);
    if (covers.includes(agents)) return 0;
    if (covers.length === 0) return agents.size;
    this.#stepsLeft -= agents.size * covers.length;
    let count = 0;
    for (const agentId of agents) if (!covers.some((cover) => cover.has(agentId))) count += 1;
    return count;
  }

  #giversOf(when: 'before' | 'after', spiffeId: SpiffeId): readonly Giver[] {
    let givers = this.#givers[when].get(spiffeId);
    if (givers === undefined) {
      givers = this.#reach.givers(when, spiffeId).map((entry) => ({
        selectors: textsOf(entry),
        agents: this.#reach.agents(when, entry),
      }));
      this.#givers[when].set(spiffeId, givers);
    }
    return givers;
  }

  #note(
    kind: WorkloadEffect['kind'],
    { id: entryId, spiffeId, selectors }: SupposedEntry,
    agents: number,
  ): void {
    if (agents > 0) this.#workloads.push({ kind, spiffeId, selectors, agents, entryId });
  }
}

function supposed(
  id: string | undefined,
  { spiffeId, parentId, selectors, expiresAt }: RegistrationEntryContent,
): SupposedEntry {
  return { id, spiffeId, parentId, selectors, expiresAt };
}

function textsOf({ selectors }: SupposedEntry): ReadonlySet<string> {
  return new Set(selectors.map(formatSelector));
}
