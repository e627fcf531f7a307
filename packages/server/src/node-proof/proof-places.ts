/** Who proves itself right now: an agent once, and only so many agents at once. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

const MOST_AT_ONCE = 500;
const RETRY_AFTER_MS = 5_000;

export interface ProofPlace {
  readonly isHeld: boolean;
  /** Rejects when a newer proof of the same agent takes the place. */
  readonly lost: Promise<never>;
  leave(): void;
}

export class ProofPlaces {
  readonly #lose = new Map<SpiffeId, () => void>();

  /** @throws BonafideError `unavailable` when there are too many. */
  take(agentId: SpiffeId): ProofPlace {
    if (!this.#lose.has(agentId) && this.#lose.size >= MOST_AT_ONCE) {
      throw new BonafideError('unavailable', `${MOST_AT_ONCE} nodes prove themselves at this moment`, {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    this.#lose.get(agentId)?.();
    let lose = (): void => undefined;
    const lost = new Promise<never>((_, reject) => {
      lose = () => {
        reject(new BonafideError('aborted', 'the agent began another proof, which replaces this one'));
      };
    });
    lost.catch(() => undefined); // nobody may be waiting for it any more
    this.#lose.set(agentId, lose);
    const places = this.#lose;
    return {
      get isHeld() {
        return places.get(agentId) === lose;
      },
      lost,
      leave() {
        if (places.get(agentId) === lose) places.delete(agentId);
      },
    };
  }
}
