/** Signals for exactly the process that a pidfd holds: a pid that was given away meanwhile gets none (pidfd_send_signal(2)). */
import { closeSync } from 'node:fs';
import { BonafideError } from '../errors/bonafide-error.js';
import { libc, SystemCallError } from './libc.js';
import { openPidfd } from './peer-credentials.js';
import { isPidfdAlive } from './process-exits.js';

const SYS_PIDFD_SEND_SIGNAL = 424;

/**
 * @param signalNumber as the system numbers it.
 * @throws BonafideError `not_found` when no process has the pid, `unavailable` when it may not be signalled.
 */
export function signalProcess(pid: number, signalNumber: number): void {
  let pidfd: number;
  try {
    pidfd = openPidfd(pid);
  } catch (error) {
    throw new BonafideError('not_found', `there is no process ${pid}`, { cause: error });
  }
  try {
    if (!isPidfdAlive(pidfd)) throw new BonafideError('not_found', `process ${pid} has exited`);
    const result = libc().syscall(
      SYS_PIDFD_SEND_SIGNAL,
      ...['int', pidfd, 'int', signalNumber, 'long', 0, 'unsigned int', 0],
    );
    if (result !== 0) throw new SystemCallError('pidfd_send_signal', libc().errno());
  } finally {
    closeSync(pidfd);
  }
}
