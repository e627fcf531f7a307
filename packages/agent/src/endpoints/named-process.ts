/** A process that somebody else names by its pid, held so that its facts stay its own. */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { openPidfd } from '@bonafide/shared/unix-socket/peer-credentials';
import { isPidfdAlive } from '@bonafide/shared/unix-socket/process-exits';
import type { HeldProcess } from '../workload-attestation/attested-process.js';
import { parseProcessStatus } from '../workload-attestation/process-status.js';

const HIGHEST_PID = 2 ** 22;

/**
 * Whoever has this pid now. That it is whom the caller means is the caller's to know: a pid can have been given away since.
 * @param procRoot where procfs is mounted.
 * @throws BonafideError `invalid_argument` for what is no pid; `not_found` when no process has it or it exits meanwhile.
 */
export function holdNamedProcess(pid: number, procRoot = '/proc'): HeldProcess {
  if (!Number.isInteger(pid) || pid <= 0 || pid > HIGHEST_PID) {
    throw new BonafideError('invalid_argument', `${pid} is no process ID`);
  }
  let pidfd: number | undefined;
  let folder: number | undefined;
  try {
    pidfd = openPidfd(pid);
    folder = openSync(join(procRoot, String(pid)), constants.O_RDONLY | constants.O_DIRECTORY);
    const procPath = `/proc/self/fd/${folder}`;
    const { effectiveUid: uid, effectiveGid: gid } = parseProcessStatus(
      readFileSync(join(procPath, 'status'), 'utf8'),
    );
    const named = new NamedProcess({ pid, uid, gid, procPath }, { pidfd, folder });
    if (!named.isAlive()) throw new BonafideError('not_found', `process ${pid} has exited`);
    return named;
  } catch (error) {
    for (const fd of [pidfd, folder]) if (fd !== undefined) closeSync(fd);
    throw new BonafideError('not_found', `there is no process ${pid}, or it exits just now`, {
      cause: error,
    });
  }
}

class NamedProcess implements HeldProcess {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly procPath: string;
  #descriptors: { readonly pidfd: number; readonly folder: number } | undefined;

  constructor(
    process: Pick<HeldProcess, 'pid' | 'uid' | 'gid' | 'procPath'>,
    descriptors: { readonly pidfd: number; readonly folder: number },
  ) {
    ({ pid: this.pid, uid: this.uid, gid: this.gid, procPath: this.procPath } = process);
    this.#descriptors = descriptors;
  }

  isAlive(): boolean {
    return this.#descriptors !== undefined && isPidfdAlive(this.#descriptors.pidfd);
  }

  close(): void {
    if (this.#descriptors === undefined) return;
    closeSync(this.#descriptors.pidfd);
    closeSync(this.#descriptors.folder);
    this.#descriptors = undefined;
  }
}
