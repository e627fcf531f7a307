/** Makes sure that what procfs says of a pid is about the process that the kernel means by it. */
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/**
 * @param procRoot where procfs is mounted.
 * @throws BonafideError `failed_precondition` when procfs is that of another pid namespace than this process's: the pid of a caller would
 * then lead to the facts of another process.
 */
export function requireOwnProcfs(procRoot = '/proc'): void {
  if (isOwnProcfs(procRoot)) return;
  throw new BonafideError(
    'failed_precondition',
    `${procRoot} shows the processes of another pid namespace than the agent's, so that callers cannot be told apart; ` +
      'give the agent a procfs of its own (unshare --mount-proc), or run it in the pid namespace of the host',
  );
}

function isOwnProcfs(procRoot: string): boolean {
  try {
    if (readlinkSync(join(procRoot, 'self')) !== String(process.pid)) return false;
    // One number for each namespace from that of procfs down to ours; a kernel without pid namespaces has no such line.
    const pids = /^NSpid:[ \t]*(.*)$/m.exec(readFileSync(join(procRoot, 'self', 'status'), 'utf8'))?.[1];
    return pids === undefined || pids.trim() === String(process.pid);
  } catch {
    return false; // there is no `self` for a process that procfs does not know
  }
}
