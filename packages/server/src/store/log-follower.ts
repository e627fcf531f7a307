/** Follows the change log of a database with several servers: tells of each revision once, in order, whoever committed it. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { ChangeListeners } from './change-listeners.js';
import type { OwnCommit } from './sql-store.js';
import type { CommittedRevision, LogPosition } from './store.js';

interface FollowedLog {
  /** The commits after that one, oldest first; undefined when the log does not reach back to it, or has another commit in its place. */
  readAfter(position: LogPosition, limit: number): Promise<readonly CommittedRevision[] | undefined>;
  position(): Promise<LogPosition>;
}

export interface LogFollowerParts {
  readonly followed: FollowedLog;
  /** From where on the listeners are told. */
  readonly start: LogPosition;
  readonly listeners: ChangeListeners;
  readonly log: Logger;
}

const REVISIONS_AT_A_TIME = 1000;

export class LogFollower {
  readonly #parts: LogFollowerParts;
  #seen: LogPosition;
  #tail: Promise<void> = Promise.resolve();
  /** One that has not begun yet serves all who ask meanwhile. */
  #nextCatchUp: Promise<void> | undefined;
  #isStopped = false;

  constructor(parts: LogFollowerParts) {
    this.#parts = parts;
    this.#seen = parts.start;
  }

  /** The last commit that the listeners were told of. */
  get seen(): LogPosition {
    return this.#seen;
  }

  /** Of this server. @returns once the listeners have heard of it. @throws BonafideError `unavailable` when what lies before it cannot be read. */
  async committed({ committed, nonceBefore }: OwnCommit): Promise<void> {
    await this.#inTurn(async () => {
      const follows = this.#seen.revision === committed.revision - 1 && this.#seen.nonce === nonceBefore;
      if (follows) await this.#tell(committed);
      else await this.#readOn();
    }).catch((error: unknown) => {
      throw new BonafideError(
        'unavailable',
        `the change stands, but what others changed before it cannot be read yet: ${errorMessage(error)}`,
        { cause: error },
      );
    });
  }

  /** Tells of what others committed. @throws what reading the log throws; the next call goes on from there. */
  catchUp(): Promise<void> {
    this.#nextCatchUp ??= this.#inTurn(() => {
      this.#nextCatchUp = undefined;
      return this.#readOn();
    });
    return this.#nextCatchUp;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#tail;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined); // whoever asked hears of it
    return turn;
  }

  async #readOn(): Promise<void> {
    const { followed, log } = this.#parts;
    while (!this.#isStopped) {
      const page = await followed.readAfter(this.#seen, REVISIONS_AT_A_TIME);
      if (page === undefined) {
        const position = await followed.position();
        log.warn(
          { seen: this.#seen.revision, now: position.revision },
          'the change log does not lead here from what was seen last; everything is read again',
        );
        await this.#tell({ ...position, changes: [{ kind: 'everything' }] });
        return;
      }
      for (const committed of page) await this.#tell(committed);
      if (page.length < REVISIONS_AT_A_TIME) return;
    }
  }

  async #tell(committed: CommittedRevision): Promise<void> {
    this.#seen = { revision: committed.revision, nonce: committed.nonce };
    await this.#parts.listeners.tell(committed);
  }
}
