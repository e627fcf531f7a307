/** How far one revision has come with the agents of this server: all it knows at first, then whatever changes. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AgentDelivery } from './agent-delivery.js';
import type { AgentRevisions, Following } from './agent-revisions.js';

export interface RevisionFollowerOptions {
  readonly revision: number;
  readonly agentIds: ReadonlySet<SpiffeId>;
  readonly agents: AgentRevisions;
  readonly serverId: string;
  readonly clock: Clock;
  /** There is something to take. */
  readonly onChange: () => void;
}

export class RevisionFollower {
  readonly #options: RevisionFollowerOptions;
  readonly #following: Following;
  #changed: Set<SpiffeId>;
  #isFirst = true;
  /** Agents that poll, and when each is away unless it asks again. */
  readonly #silentFrom = new Map<SpiffeId, Date>();
  #changesAt: Date | undefined;

  /** @throws BonafideError `resource_exhausted`. */
  constructor(options: RevisionFollowerOptions) {
    this.#options = options;
    this.#changed = new Set(options.agentIds);
    this.#following = options.agents.follow(options.agentIds, (agentId) => {
      this.#changed.add(agentId);
      options.onChange();
    });
  }

  /** When there will be something to take though nothing is heard: an agent that polls has been silent for too long. */
  get changesAt(): Date | undefined {
    return this.#changesAt;
  }

  /** Of those agents of which something was heard since the last time; at first of all of which anything is known. */
  take(): readonly AgentDelivery[] {
    this.#findSilent();
    const changed = this.#changed;
    const isFirst = this.#isFirst;
    this.#changed = new Set();
    this.#isFirst = false;
    const taken = [...changed].flatMap((agentId) => {
      const delivery = this.#deliveryTo(agentId);
      if (delivery.kind === 'delivered') this.#following.leave(agentId);
      return isFirst && delivery.kind === 'offline' && !delivery.isExact ? [] : delivery;
    });
    this.#changesAt = earliest(this.#silentFrom.values());
    return taken;
  }

  stop(): void {
    this.#following.leaveAll();
  }

  #findSilent(): void {
    const now = this.#options.clock.now();
    if (this.#changesAt === undefined || now < this.#changesAt) return;
    for (const [agentId, silentFrom] of this.#silentFrom) if (now >= silentFrom) this.#changed.add(agentId);
  }

  #deliveryTo(agentId: SpiffeId): AgentDelivery {
    const { revision, agents, serverId } = this.#options;
    const state = agents.stateOf(agentId);
    this.#silentFrom.delete(agentId);
    // It keeps what it holds while it is away.
    if (state.appliedRevision >= revision) return { kind: 'delivered', agentId };
    if (state.kind === 'connected') {
      if (state.until !== undefined) this.#silentFrom.set(agentId, state.until);
      return { kind: 'behind', agentId, appliedRevision: state.appliedRevision, serverId };
    }
    const { since = agents.startedAt } = state;
    return { kind: 'offline', agentId, since, isExact: state.since !== undefined };
  }
}

function earliest(dates: Iterable<Date>): Date | undefined {
  let first: Date | undefined;
  for (const date of dates) if (first === undefined || date < first) first = date;
  return first;
}
