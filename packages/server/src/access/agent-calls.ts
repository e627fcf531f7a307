/** The calls that agents have in progress: those of an agent that is banned, evicted or in quarantine end at once, whatever they are doing. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { inQuarantine } from '../node-proof/quarantine.js';
import type { CallerDirectory } from './identify-caller.js';

interface TrackedCall {
  /** Called at most once. */
  readonly end: (refusal: BonafideError) => void;
  /** Agents in quarantine may make it as well. */
  readonly survivesQuarantine: boolean;
}

export class AgentCalls {
  readonly #directory: Pick<CallerDirectory, 'node'>;
  readonly #calls = new Map<SpiffeId, Set<TrackedCall>>();

  readonly #onCall: (agentId: SpiffeId) => void;

  /** @param onCall hears of each call that is let in. */
  constructor(
    directory: Pick<CallerDirectory, 'node'>,
    onCall: (agentId: SpiffeId) => void = () => undefined,
  ) {
    this.#directory = directory;
    this.#onCall = onCall;
  }

  /**
   * @param signal fires when the call is over.
   * @throws BonafideError `agent_*` when the agent lost its right while the call was being let in.
   */
  track(agentId: SpiffeId, signal: AbortSignal, call: TrackedCall): void {
    const refusal = this.#refusalOf(agentId, call);
    if (refusal !== undefined) throw refusal;
    this.#onCall(agentId);
    if (signal.aborted) return;
    const calls = this.#calls.get(agentId) ?? new Set();
    calls.add(call);
    this.#calls.set(agentId, calls);
    signal.addEventListener(
      'abort',
      () => {
        this.#forget(agentId, call);
      },
      { once: true },
    );
  }

  /** To be told of agents that came or went, were banned, put into quarantine or pardoned. */
  check(agentIds: Iterable<SpiffeId>): void {
    for (const agentId of agentIds) {
      for (const call of [...(this.#calls.get(agentId) ?? [])]) {
        const refusal = this.#refusalOf(agentId, call);
        if (refusal === undefined) continue;
        this.#forget(agentId, call);
        call.end(refusal);
      }
    }
  }

  /** How many agents have calls in progress. */
  get size(): number {
    return this.#calls.size;
  }

  #forget(agentId: SpiffeId, call: TrackedCall): void {
    const calls = this.#calls.get(agentId);
    calls?.delete(call);
    if (calls?.size === 0) this.#calls.delete(agentId);
  }

  #refusalOf(agentId: SpiffeId, { survivesQuarantine }: TrackedCall): BonafideError | undefined {
    const node = this.#directory.node(agentId);
    if (node === undefined)
      return new BonafideError('agent_not_attested', `agent ${agentId} is not attested`);
    if (node.isBanned) return new BonafideError('agent_banned', `agent ${agentId} is banned`);
    return node.quarantine !== undefined && !survivesQuarantine ? inQuarantine(agentId) : undefined;
  }
}
