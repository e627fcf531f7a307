/** When nodes last proved that nothing about them changed: noted here at once, and in the database for many of them at a time. */
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { NodeProofReader } from '../store/node-record.js';

export interface LastProvenOptions {
  readonly proofs: Pick<NodeProofReader, 'touch'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** So much of what was noted is lost when the server is killed: those agents are merely asked again sooner. */
const FLUSH_MS = 3_000;

export class LastProven {
  readonly #options: LastProvenOptions;
  #noted = new Map<SpiffeId, Date>();
  #flushing: ReadonlyMap<SpiffeId, Date> = new Map();
  #timer: Timer | undefined;
  #work: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: LastProvenOptions) {
    this.#options = options;
  }

  note(agentId: SpiffeId, at: Date): void {
    const known = this.of(agentId);
    if (known === undefined || at > known) this.#noted.set(agentId, at);
    this.#schedule();
  }

  /** Undefined when the database knows as well as we do. */
  of(agentId: SpiffeId): Date | undefined {
    return this.#noted.get(agentId) ?? this.#flushing.get(agentId);
  }

  /** Resolves when all that is noted is stored, or could not be: it is tried again later. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#work = this.#work.then(() => this.#store());
    return this.#work;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.flush();
  }

  #schedule(): void {
    if (this.#isStopped || this.#timer !== undefined || this.#noted.size === 0) return;
    this.#timer = this.#options.clock.schedule(FLUSH_MS, () => void this.flush());
  }

  async #store(): Promise<void> {
    if (this.#noted.size === 0) return;
    this.#flushing = this.#noted;
    this.#noted = new Map();
    try {
      await this.#options.proofs.touch(this.#flushing);
    } catch (error) {
      const count = this.#flushing.size;
      this.#options.log.warn({ err: error, count }, 'when nodes were last proven is not stored yet');
      this.#noted = new Map([...this.#flushing, ...this.#noted]);
    }
    this.#flushing = new Map();
    this.#schedule();
  }
}
