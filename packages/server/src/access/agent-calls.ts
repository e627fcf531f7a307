/** The calls that agents have in progress: those of an agent that is banned or evicted end at once, whatever they are doing. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { CallerDirectory } from './identify-caller.js';

type EndCall = (refusal: BonafideError) => void;

export class AgentCalls {
  readonly #directory: Pick<CallerDirectory, 'node'>;
  readonly #calls = new Map<SpiffeId, Set<EndCall>>();

  constructor(directory: Pick<CallerDirectory, 'node'>) {
    this.#directory = directory;
  }

  /**
   * @param signal fires when the call is over. @param end called at most once.
   * @throws BonafideError `agent_*` when the agent lost its right while the call was being let in.
   */
  track(agentId: SpiffeId, signal: AbortSignal, end: EndCall): void {
    const refusal = this.#refusalOf(agentId);
    if (refusal !== undefined) throw refusal;
    if (signal.aborted) return;
    const calls = this.#calls.get(agentId) ?? new Set();
    calls.add(end);
    this.#calls.set(agentId, calls);
    signal.addEventListener(
      'abort',
      () => {
        calls.delete(end);
        if (calls.size === 0 && this.#calls.get(agentId) === calls) this.#calls.delete(agentId);
      },
      { once: true },
    );
  }

  /** To be told of agents that came or went, were banned or pardoned. */
  check(agentIds: Iterable<SpiffeId>): void {
    for (const agentId of agentIds) {
      const calls = this.#calls.get(agentId);
      const refusal = calls === undefined ? undefined : this.#refusalOf(agentId);
      if (calls === undefined || refusal === undefined) continue;
      this.#calls.delete(agentId);
      for (const end of calls) end(refusal);
    }
  }

  /** How many agents have calls in progress. */
  get size(): number {
    return this.#calls.size;
  }

  #refusalOf(agentId: SpiffeId): BonafideError | undefined {
    const node = this.#directory.node(agentId);
    if (node === undefined)
      return new BonafideError('agent_not_attested', `agent ${agentId} is not attested`);
    return node.isBanned ? new BonafideError('agent_banned', `agent ${agentId} is banned`) : undefined;
  }
}
