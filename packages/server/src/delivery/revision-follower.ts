/** How far one revision has come with the agents of this server: all it knows at first, then whatever changes. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AgentDelivery } from './agent-delivery.js';
import type { AgentRevisions, Following } from './agent-revisions.js';

export interface RevisionFollowerOptions {
  readonly revision: number;
  readonly agentIds: ReadonlySet<SpiffeId>;
  readonly agents: AgentRevisions;
  readonly serverId: string;
  /** There is something to take. */
  readonly onChange: () => void;
}

export class RevisionFollower {
  readonly #options: RevisionFollowerOptions;
  readonly #following: Following;
  #changed: Set<SpiffeId>;
  #isFirst = true;

  /** @throws BonafideError `resource_exhausted`. */
  constructor(options: RevisionFollowerOptions) {
    this.#options = options;
    this.#changed = new Set(options.agentIds);
    this.#following = options.agents.follow(options.agentIds, (agentId) => {
      this.#changed.add(agentId);
      options.onChange();
    });
  }

  /** Of those agents of which something was heard since the last time; at first of all of which anything is known. */
  take(): readonly AgentDelivery[] {
    const changed = this.#changed;
    const isFirst = this.#isFirst;
    this.#changed = new Set();
    this.#isFirst = false;
    return [...changed].flatMap((agentId) => {
      const delivery = this.#deliveryTo(agentId);
      if (delivery.kind === 'delivered') this.#following.leave(agentId);
      return isFirst && delivery.kind === 'offline' && !delivery.isExact ? [] : delivery;
    });
  }

  stop(): void {
    this.#following.leaveAll();
  }

  #deliveryTo(agentId: SpiffeId): AgentDelivery {
    const { revision, agents, serverId } = this.#options;
    const state = agents.stateOf(agentId);
    // It keeps what it holds while it is away.
    if (state.appliedRevision >= revision) return { kind: 'delivered', agentId };
    if (state.kind === 'connected') {
      return { kind: 'behind', agentId, appliedRevision: state.appliedRevision, serverId };
    }
    const { since = agents.startedAt } = state;
    return { kind: 'offline', agentId, since, isExact: state.since !== undefined };
  }
}
