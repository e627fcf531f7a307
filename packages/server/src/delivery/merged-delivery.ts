/** What all servers know of one revision's delivery, put together: who holds it anywhere holds it. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AgentDelivery, OfflineAgent } from './agent-delivery.js';

interface ServerReport {
  readonly startedAt: Date;
  readonly agents: Map<SpiffeId, AgentDelivery>;
}

export class MergedDelivery {
  readonly #concerned: Set<SpiffeId>;
  readonly #delivered = new Set<SpiffeId>();
  readonly #reports = new Map<string, ServerReport>();

  constructor(concerned: Iterable<SpiffeId>) {
    this.#concerned = new Set(concerned);
  }

  get concerned(): number {
    return this.#concerned.size;
  }

  get delivered(): number {
    return this.#delivered.size;
  }

  get isComplete(): boolean {
    return this.#delivered.size === this.#concerned.size;
  }

  hasHeardOf(serverId: string): boolean {
    return this.#reports.has(serverId);
  }

  /** @param deliveries what has changed since the server's last report. */
  add(serverId: string, startedAt: Date, deliveries: readonly AgentDelivery[]): void {
    let report = this.#reports.get(serverId);
    if (report?.startedAt.getTime() !== startedAt.getTime()) {
      report = { startedAt, agents: new Map() };
      this.#reports.set(serverId, report);
    }
    for (const delivery of deliveries) {
      const { agentId } = delivery;
      if (!this.#concerned.has(agentId)) continue;
      if (delivery.kind === 'delivered') this.#delivered.add(agentId);
      else report.agents.set(agentId, delivery);
    }
  }

  /** The server is gone: what it said counts no more, but for what was delivered. */
  forgetServer(serverId: string): void {
    this.#reports.delete(serverId);
  }

  /** Nothing has to reach it any more. */
  drop(agentId: SpiffeId): void {
    this.#concerned.delete(agentId);
    this.#delivered.delete(agentId);
  }

  /** Each agent once. */
  *agents(): Generator<AgentDelivery, void, undefined> {
    for (const agentId of this.#concerned) {
      yield this.#delivered.has(agentId) ? { kind: 'delivered', agentId } : this.#undelivered(agentId);
    }
  }

  #undelivered(agentId: SpiffeId): AgentDelivery {
    let offline: OfflineAgent = { kind: 'offline', agentId, since: new Date(0), isExact: false };
    for (const { startedAt, agents } of this.#reports.values()) {
      const known = agents.get(agentId);
      if (known?.kind === 'behind') return known;
      // What came before a server started it cannot know: the latest is what holds for all.
      const here =
        known?.kind === 'offline'
          ? known
          : { kind: 'offline' as const, agentId, since: startedAt, isExact: false };
      if (here.since > offline.since) offline = here;
    }
    return offline;
  }
}
