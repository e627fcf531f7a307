/** Those who hear of each commit, one commit at a time. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { CommittedRevision } from './store.js';

export type ChangeListener = (committed: CommittedRevision) => void | Promise<void>;

export class ChangeListeners {
  readonly #listeners = new Set<ChangeListener>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** The commit stands whatever a listener does, so its failure is only logged. */
  async tell(committed: CommittedRevision): Promise<void> {
    for (const listener of this.#listeners) {
      try {
        await listener(committed);
      } catch (error) {
        this.#log.error({ err: error, revision: committed.revision }, 'a follower of the change log failed');
      }
    }
  }
}
