/** What agents that poll may take of the server: so many calls each, and so much of the thread in one turn. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { Turns } from '../../sync/turns.js';

/** SPIRE's agents have one. What is owed to those that do not read is bounded by this. */
const MOST_OF_AN_AGENT = 4;
const RETRY_AFTER_MS = 5_000;
const PIECE = 100;

export class AgentPolls {
  readonly #turns: Turns;
  readonly #ofAgents = new Map<SpiffeId, number>();

  constructor(clock: Clock) {
    this.#turns = new Turns(clock);
  }

  /** How many agents have calls in progress. */
  get size(): number {
    return this.#ofAgents.size;
  }

  /**
   * @param signal fires when the call is over: answered and taken, not only answered.
   * @throws BonafideError `resource_exhausted` when the agent has too many calls in progress.
   */
  begin(agentId: SpiffeId, signal: AbortSignal): void {
    const inProgress = this.#ofAgents.get(agentId) ?? 0;
    if (inProgress >= MOST_OF_AN_AGENT) {
      throw new BonafideError(
        'resource_exhausted',
        `the agent has ${inProgress} calls for its entries in progress; read the answers, or end the calls, before you make the next`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
    }
    if (signal.aborted) return;
    this.#ofAgents.set(agentId, inProgress + 1);
    signal.addEventListener(
      'abort',
      () => {
        const left = (this.#ofAgents.get(agentId) ?? 1) - 1;
        if (left === 0) this.#ofAgents.delete(agentId);
        else this.#ofAgents.set(agentId, left);
      },
      { once: true },
    );
  }

  /** In turns, however many there are. */
  async encode<Item, Encoded>(items: readonly Item[], encode: (item: Item) => Encoded): Promise<Encoded[]> {
    const encoded: Encoded[] = [];
    for (let start = 0; start < items.length; start += PIECE) {
      const piece = await this.#turns.do('snapshot', () =>
        Promise.resolve(items.slice(start, start + PIECE).map(encode)),
      );
      for (const each of piece) encoded.push(each);
    }
    return encoded;
  }
}
