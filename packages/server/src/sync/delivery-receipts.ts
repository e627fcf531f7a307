/** Delivery receipts: which revision each agent says it has applied, and waiting until agents have. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface DeliveryWait {
  readonly revision: number;
  readonly agentIds: readonly SpiffeId[];
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface DeliveryReport {
  readonly delivered: readonly SpiffeId[];
  /** Those that had not said so when the time was up or the caller left. */
  readonly pending: readonly SpiffeId[];
}

export class DeliveryReceipts {
  readonly #clock: Clock;
  readonly #applied = new Map<SpiffeId, number>();
  readonly #waits = new Map<SpiffeId, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined: it never said. */
  appliedRevision(agentId: SpiffeId): number | undefined {
    return this.#applied.get(agentId);
  }

  record(agentId: SpiffeId, revision: number): void {
    // An agent that was reset may go back; what it says last is true.
    this.#applied.set(agentId, revision);
    this.#wake(agentId);
  }

  /** The agent is gone: nothing needs to reach it any more. */
  forget(agentId: SpiffeId): void {
    this.#applied.delete(agentId);
    for (const wake of this.#waits.get(agentId) ?? []) wake();
    this.#waits.delete(agentId);
  }

  /** @param isGone whether an agent is one that nothing needs to reach any more. */
  wait(wait: DeliveryWait, isGone: (agentId: SpiffeId) => boolean): Promise<DeliveryReport> {
    const { revision, timeoutMs, signal } = wait;
    const agentIds = [...new Set(wait.agentIds)];
    const isDone = (agentId: SpiffeId): boolean =>
      (this.#applied.get(agentId) ?? -1) >= revision || isGone(agentId);
    return new Promise((resolve) => {
      const pending = new Set(agentIds.filter((agentId) => !isDone(agentId)));
      const wakers = new Map<SpiffeId, () => void>();
      const finish = (): void => {
        timer?.cancel();
        signal?.removeEventListener('abort', finish);
        for (const [agentId, wake] of wakers) this.#removeWait(agentId, wake);
        resolve({
          delivered: agentIds.filter((agentId) => !pending.has(agentId)),
          pending: [...pending],
        });
      };
      const timer = pending.size === 0 ? undefined : this.#clock.schedule(timeoutMs, finish);
      if (pending.size === 0 || signal?.aborted === true) {
        finish();
        return;
      }
      signal?.addEventListener('abort', finish, { once: true });
      for (const agentId of pending) {
        const wake = (): void => {
          if (!isDone(agentId)) return;
          pending.delete(agentId);
          this.#removeWait(agentId, wake);
          if (pending.size === 0) finish();
        };
        wakers.set(agentId, wake);
        this.#addWait(agentId, wake);
      }
    });
  }

  #wake(agentId: SpiffeId): void {
    for (const wake of [...(this.#waits.get(agentId) ?? [])]) wake();
  }

  #addWait(agentId: SpiffeId, wake: () => void): void {
    const waits = this.#waits.get(agentId);
    if (waits === undefined) this.#waits.set(agentId, new Set([wake]));
    else waits.add(wake);
  }

  #removeWait(agentId: SpiffeId, wake: () => void): void {
    const waits = this.#waits.get(agentId);
    waits?.delete(wake);
    if (waits?.size === 0) this.#waits.delete(agentId);
  }
}
