/** The control groups that a process has mounted (proc_pid_mountinfo(5)), which its mount namespace decides, not the kernel alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from '../attested-process.js';

/** The kernel's own limit is 100,000 mounts in a namespace; containers have dozens. */
const LONGEST_TABLE = 4 * 1024 * 1024;

/** The group at the root of each mount of a control group file system, as seen from the agent's cgroup namespace. */
export function readCgroupMounts({ procPath }: Pick<AttestedProcess, 'procPath'>): readonly string[] {
  return parseCgroupMounts(readFileSync(join(procPath, 'mountinfo'), 'utf8'));
}

/** @throws BonafideError `internal` when the table is not as the kernel writes it. */
function parseCgroupMounts(text: string): readonly string[] {
  const lines = text.split('\n');
  if (lines.pop() !== '' || text.length > LONGEST_TABLE) throw unreadable();
  return lines.flatMap((line) => {
    // Optional fields stand between the mount's options and a lone dash; the file system's type follows it, its source may be empty.
    const match = /^\d+ \d+ \d+:\d+ (\S+) \S+ \S+(?: \S+)*? - (\S+) /.exec(line);
    const [, root = '', type = ''] = match ?? [];
    if (match === null) throw unreadable();
    return (type === 'cgroup' || type === 'cgroup2') && root.startsWith('/') ? [root] : [];
  });
}

function unreadable(): BonafideError {
  return new BonafideError('internal', 'the mount table of the process is not readable');
}
