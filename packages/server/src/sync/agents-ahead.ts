/** Agents that have seen more at another server than this one has: told nothing until this one has seen it too, or that takes too long. */
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { LogPosition } from '../store/store.js';

/** Servers of one database are never further apart while they reach it. */
const CATCH_UP_MS = 5_000;

interface Ahead {
  readonly commit: LogPosition;
  readonly timer: Timer;
}

export class AgentsAhead {
  readonly #clock: Clock;
  /** Told that the wait is over. */
  readonly #onReady: (agentId: SpiffeId, commit: LogPosition) => void;
  readonly #waiting = new Map<SpiffeId, Ahead>();

  constructor(clock: Clock, onReady: (agentId: SpiffeId, commit: LogPosition) => void) {
    this.#clock = clock;
    this.#onReady = onReady;
  }

  has(agentId: SpiffeId): boolean {
    return this.#waiting.has(agentId);
  }

  /** @param commit what the agent has seen. */
  wait(agentId: SpiffeId, commit: LogPosition): void {
    const timer = this.#clock.schedule(CATCH_UP_MS, () => {
      this.#release(agentId, commit);
    });
    this.#waiting.set(agentId, { commit, timer });
  }

  /** This server has seen everything up to the revision. */
  reached(revision: number): void {
    for (const [agentId, { commit }] of [...this.#waiting]) {
      if (commit.revision <= revision) this.#release(agentId, commit);
    }
  }

  /** It waits no more. */
  leave(agentId: SpiffeId): void {
    this.#waiting.get(agentId)?.timer.cancel();
    this.#waiting.delete(agentId);
  }

  #release(agentId: SpiffeId, commit: LogPosition): void {
    this.leave(agentId);
    this.#onReady(agentId, commit);
  }
}
