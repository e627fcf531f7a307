/** Tells when processes that somebody else named have exited; asking for all of them costs one system call. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import { openPidfd } from '@bonafide/shared/unix-socket/peer-credentials';
import { ProcessExits } from '@bonafide/shared/unix-socket/process-exits';
import { closeSync } from 'node:fs';

/** How long the streams of a process may outlive it. */
const SWEEP_MS = 500;

export class ExitWatch {
  readonly #clock: Clock;
  readonly #onExit = new Map<number, () => void>();
  #exits: ProcessExits | undefined;
  #sweep: Timer | undefined;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#onExit.size;
  }

  /**
   * Whoever has this pid now.
   * @param onExit called at most once, and never after `close()`.
   * @throws BonafideError `not_found` when no process has it.
   */
  watch(pid: number, onExit: () => void): { close(): void } {
    let pidfd: number;
    try {
      pidfd = openPidfd(pid);
    } catch (error) {
      throw new BonafideError('not_found', `there is no process ${pid}`, { cause: error });
    }
    this.#exits ??= new ProcessExits();
    this.#exits.watch(pidfd);
    this.#onExit.set(pidfd, onExit);
    this.#sweep ??= this.#scheduleSweep();
    let isOpen = true;
    return {
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#onExit.delete(pidfd);
        this.#exits?.unwatch(pidfd);
        closeSync(pidfd);
        if (this.#onExit.size === 0) this.#stop();
      },
    };
  }

  #scheduleSweep(): Timer {
    return this.#clock.schedule(SWEEP_MS, () => {
      for (const pidfd of this.#exits?.exited() ?? []) this.#onExit.get(pidfd)?.();
      this.#sweep = this.#onExit.size > 0 ? this.#scheduleSweep() : undefined;
    });
  }

  #stop(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#exits?.close();
    this.#exits = undefined;
  }
}
