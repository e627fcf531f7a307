/** Whether the database can be reached, for those who ask and those who want to hear of it. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { DatabaseConnection, DatabaseState } from './store.js';

export class ConnectionState implements DatabaseConnection {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Set<(state: DatabaseState) => void>();
  #state: DatabaseState = { kind: 'connected' };

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#clock = clock;
    this.#log = log;
  }

  get state(): DatabaseState {
    return this.#state;
  }

  subscribe(listener: (state: DatabaseState) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** @param problem the first one stays: what follows from it says less. */
  lost(problem: string): void {
    if (this.#state.kind === 'lost') return;
    this.#log.error({ problem }, 'the database is lost; serving what needs no write');
    this.#change({ kind: 'lost', since: this.#clock.now(), problem });
  }

  found(): void {
    if (this.#state.kind === 'connected') return;
    this.#log.info('the database is back');
    this.#change({ kind: 'connected' });
  }

  #change(state: DatabaseState): void {
    this.#state = state;
    for (const listener of this.#listeners) {
      try {
        listener(state);
      } catch (error) {
        this.#log.error({ err: error }, 'a listener to the state of the database failed');
      }
    }
  }
}
