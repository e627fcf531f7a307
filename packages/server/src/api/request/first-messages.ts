/** Streams that have been opened and not begun: each may stay silent for a moment, and an agent has only so many of them. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

const LIMIT_MS = 10_000;
const MOST_OF_AN_AGENT = 8;
const MOST_IN_ALL = 5_000;
const RETRY_AFTER_MS = 5_000;

export class FirstMessages {
  readonly #clock: Clock;
  readonly #silent = new Map<SpiffeId, number>();
  #inAll = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many streams have not begun. */
  get waiting(): number {
    return this.#inAll;
  }

  /**
   * @returns undefined when the agent ended the stream without a message.
   * @throws BonafideError `deadline_exceeded` when none comes, `resource_exhausted` when too many streams wait for theirs.
   */
  async of<Message>(
    agentId: SpiffeId,
    messages: AsyncGenerator<Message, undefined>,
  ): Promise<Message | undefined> {
    const ofAgent = this.#silent.get(agentId) ?? 0;
    if (ofAgent >= MOST_OF_AN_AGENT || this.#inAll >= MOST_IN_ALL) {
      throw new BonafideError(
        'resource_exhausted',
        `${ofAgent} streams of the agent and ${this.#inAll} in all were opened and have not begun; send the first message of one before you open the next`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
    }
    this.#silent.set(agentId, ofAgent + 1);
    this.#inAll += 1;
    try {
      return await this.#within(messages.next());
    } finally {
      this.#inAll -= 1;
      const left = (this.#silent.get(agentId) ?? 1) - 1;
      if (left === 0) this.#silent.delete(agentId);
      else this.#silent.set(agentId, left);
    }
  }

  #within<Message>(next: Promise<IteratorResult<Message, undefined>>): Promise<Message | undefined> {
    return new Promise((resolve, reject) => {
      const silence = this.#clock.schedule(LIMIT_MS, () => {
        const problem = `no message came within ${LIMIT_MS / 1000} s after the stream was opened`;
        reject(new BonafideError('deadline_exceeded', problem));
      });
      next
        .finally(() => {
          silence.cancel();
        })
        .then((result) => {
          resolve(result.done === true ? undefined : result.value);
        }, reject);
    });
  }
}
