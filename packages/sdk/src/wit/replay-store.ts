/** Remembers proofs until they expire, so that none is accepted twice (draft-ietf-wimse-wpt-01 section 2, draft-ietf-wimse-http-signature-06 section 3). */
import { createHash } from 'node:crypto';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

/** One use of a proof. */
export interface ProofUse {
  readonly sender: SpiffeId;
  /** Unique among the sender's proofs of its kind: a nonce or `jti`, after the kind. At most 300 characters. */
  readonly id: string;
  /** When the proof will be refused anyway, the leeway included. */
  readonly until: Date;
}

/**
 * Processes that accept requests for one and the same audience must share one, or a proof can be used once at each of them: implement
 * this over something with an atomic "set if absent" that expires, for example Redis `SET id 1 NX PXAT until`.
 */
export interface ReplayStore {
  /**
   * Remembers the use, in one step with the look whether it is known.
   * @returns true for the first use; anything else refuses.
   * @throws when it cannot remember: the proof is then refused.
   */
  claim(use: ProofUse): boolean | Promise<boolean>;
}

/** How much a `MemoryReplayStore` remembers. */
export interface MemoryReplayStoreOptions {
  /** The most uses remembered at once; 200,000 unless told. About 150 bytes each. */
  readonly capacity?: number | undefined;
  /** The most of one sender, so that none can lock the others out; a quarter of `capacity` unless told. */
  readonly capacityPerSender?: number | undefined;
  readonly clock?: Clock | undefined;
}

const DEFAULT_CAPACITY = 200_000;

interface Slot {
  readonly key: string;
  readonly sender: SpiffeId;
}

/** For one process. When it is full, it refuses new proofs until old ones have expired. */
export class MemoryReplayStore implements ReplayStore {
  readonly #capacity: number;
  readonly #capacityPerSender: number;
  readonly #clock: Clock;
  readonly #known = new Set<string>();
  readonly #perSender = new Map<SpiffeId, number>();
  /** By the second in which they end. */
  readonly #slots = new Map<number, Slot[]>();
  /** What ends before this may have been forgotten, so it is refused, even if the clock was set back since. */
  #forgottenBefore = 0;

  constructor(options: MemoryReplayStoreOptions = {}) {
    this.#capacity = options.capacity ?? DEFAULT_CAPACITY;
    this.#capacityPerSender = options.capacityPerSender ?? Math.ceil(this.#capacity / 4);
    if (!(this.#capacity >= 1) || !(this.#capacityPerSender >= 1)) {
      throw invalidArgument('the capacity of a replay store must be 1 or more');
    }
    this.#clock = options.clock ?? systemClock;
  }

  /** How many uses are remembered now. */
  get size(): number {
    return this.#known.size;
  }

  /** @throws BonafideError `resource_exhausted` when it is full, as a whole or for the sender. */
  claim({ sender, id, until }: ProofUse): boolean {
    this.#forget();
    const endsAt = Math.ceil(until.getTime() / 1000);
    if (!(endsAt >= this.#forgottenBefore)) return false;
    const key = createHash('sha256').update(`${sender}\n${id}`).digest('base64url');
    if (this.#known.has(key)) return false;
    const ofSender = this.#perSender.get(sender) ?? 0;
    if (this.#known.size >= this.#capacity || ofSender >= this.#capacityPerSender) {
      const whose = ofSender >= this.#capacityPerSender ? ` of ${sender}` : '';
      throw new BonafideError(
        'resource_exhausted',
        `too many proofs${whose} are remembered; enlarge the replay store or shorten the life of proofs`,
      );
    }
    this.#known.add(key);
    this.#perSender.set(sender, ofSender + 1);
    const slots = this.#slots.get(endsAt);
    if (slots === undefined) this.#slots.set(endsAt, [{ key, sender }]);
    else slots.push({ key, sender });
    return true;
  }

  /** Once a second at most, over as many lists as there are seconds in the life of a proof. */
  #forget(): void {
    const second = Math.floor(this.#clock.now().getTime() / 1000);
    if (second <= this.#forgottenBefore) return;
    this.#forgottenBefore = second;
    for (const [endsAt, slots] of this.#slots) {
      if (endsAt >= second) continue;
      this.#slots.delete(endsAt);
      for (const { key, sender } of slots) {
        this.#known.delete(key);
        const left = (this.#perSender.get(sender) ?? 1) - 1;
        if (left > 0) this.#perSender.set(sender, left);
        else this.#perSender.delete(sender);
      }
    }
  }
}

/** @throws BonafideError `unauthenticated` for a proof that was used before; whatever the store throws. */
export async function claimOnce(store: ReplayStore, use: ProofUse): Promise<void> {
  const isFirst: unknown = await store.claim(use);
  if (isFirst !== true) {
    throw new BonafideError('unauthenticated', 'the proof of possession was used before');
  }
}
