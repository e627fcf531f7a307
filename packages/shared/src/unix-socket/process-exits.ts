/** Learns that a process has exited through its pidfd: of one now, or of thousands with a single system call. */
import { closeSync } from 'node:fs';
import { libc, SystemCallError } from './libc.js';

const POLLIN = 1;
const POLLNVAL = 0x20;
const EBADF = 9;
const EINTR = 4;
const MOST_INTERRUPTIONS = 100;

const pollEntry = Buffer.alloc(8);

/** False from the moment the process exits, even while its parent has not waited for it. @throws when `pidfd` is closed. */
export function isPidfdAlive(pidfd: number): boolean {
  for (let attempt = 0; attempt < MOST_INTERRUPTIONS; attempt += 1) {
    pollEntry.writeInt32LE(pidfd, 0);
    pollEntry.writeInt16LE(POLLIN, 4);
    pollEntry.writeInt16LE(0, 6);
    const ready = libc().poll(pollEntry, 1, 0);
    if (ready === 0) return true;
    if (ready > 0) {
      if ((pollEntry.readInt16LE(6) & POLLNVAL) !== 0) throw new SystemCallError('poll', EBADF);
      return false;
    }
    if (libc().errno() !== EINTR) break;
  }
  throw new SystemCallError('poll', libc().errno());
}

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EVENTS_AT_ONCE = 256;
// struct epoll_event is packed on x86 only; its user data starts right after the 32-bit mask there and is aligned elsewhere.
const EVENT_BYTES = process.arch === 'x64' || process.arch === 'ia32' ? 12 : 16;
const EVENT_DATA_AT = EVENT_BYTES - 8;

/** Many pidfds under watch; asking costs one call of constant time while nothing has exited. */
export class ProcessExits {
  readonly #epoll: number;
  readonly #event = Buffer.alloc(EVENT_BYTES);
  readonly #events = Buffer.alloc(EVENT_BYTES * EVENTS_AT_ONCE);
  #isClosed = false;

  constructor() {
    this.#epoll = libc().epollCreate(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw new SystemCallError('epoll_create1', libc().errno());
  }

  watch(pidfd: number): void {
    this.#event.writeUInt32LE(EPOLLIN, 0);
    this.#event.writeUInt32LE(pidfd, EVENT_DATA_AT);
    if (libc().epollControl(this.#epoll, EPOLL_CTL_ADD, pidfd, this.#event) !== 0) {
      throw new SystemCallError('epoll_ctl', libc().errno());
    }
  }

  /** To be called before the pidfd is closed, since its number will soon mean something else. */
  unwatch(pidfd: number): void {
    if (!this.#isClosed) libc().epollControl(this.#epoll, EPOLL_CTL_DEL, pidfd, this.#event);
  }

  /** The watched pidfds whose process has exited, at most 256 of them; the same ones again until they are unwatched. */
  exited(): readonly number[] {
    if (this.#isClosed) return [];
    const count = libc().epollWait(this.#epoll, this.#events, EVENTS_AT_ONCE, 0);
    if (count < 0) {
      const errno = libc().errno();
      if (errno === EINTR) return []; // the next look will tell
      throw new SystemCallError('epoll_wait', errno);
    }
    return Array.from({ length: count }, (_, index) =>
      this.#events.readUInt32LE(index * EVENT_BYTES + EVENT_DATA_AT),
    );
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#epoll);
  }
}
