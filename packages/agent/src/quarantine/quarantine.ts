/**
 * A node that an operator has to look at first: while the server says so, its workloads hold nothing, here or on disk. The agent keeps its
 * own identity, asks again and again, and gives everything back once it is heard.
 */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';

interface QuarantineOptions {
  /** Takes everything from the workloads, at once. */
  readonly withdraw: () => void;
  /** Removes what is kept of it on disk. */
  readonly erase: () => Promise<void>;
  readonly log: Logger;
}

export class Quarantine {
  readonly #options: QuarantineOptions;
  #isActive = false;
  #why: string | undefined;
  #erased: Promise<void> = Promise.resolve();
  #sayEntered: () => void = () => undefined;
  /** Resolves when the node is in quarantine for the first time. */
  readonly entered: Promise<void>;

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.entered = new Promise((resolve) => {
      this.#sayEntered = resolve;
    });
  }

  get isActive(): boolean {
    return this.#isActive;
  }

  /** In the server's words; undefined when the node is not in quarantine. */
  get why(): string | undefined {
    return this.#why;
  }

  /** @param why in the server's words. @returns false when it was in quarantine already. */
  enter(why: string): boolean {
    if (this.#isActive) return false;
    const { erase, log, withdraw } = this.#options;
    this.#isActive = true;
    this.#why = why;
    log.error(
      `this node is in quarantine, and its workloads have no identity until an operator releases it with 'bonafide-server agent release': ${why}`,
    );
    withdraw();
    this.#erased = erase().catch((error: unknown) => {
      log.error(`cannot remove the SVIDs of the workloads from the disk: ${errorMessage(error)}`);
    });
    this.#sayEntered();
    return true;
  }

  /** The server tells what the workloads are entitled to. */
  leave(): void {
    if (!this.#isActive) return;
    this.#isActive = false;
    this.#why = undefined;
    this.#options.log.warn('this node is out of quarantine');
  }

  /** Resolves once nothing is on its way from the disk any more, so that what comes back is not removed with what was there. */
  settled(): Promise<void> {
    return this.#erased;
  }
}
