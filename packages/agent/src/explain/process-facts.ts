/** Who a process is, for people: what the kernel says of it, read through its held folder in procfs. */
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from '../workload-attestation/attested-process.js';
import { readCgroups } from '../workload-attestation/cgroups.js';
import type { PasswdFile } from '../workload-attestation/passwd-file.js';

export interface ProcessFacts {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly name: string | undefined;
  readonly executable: string | undefined;
  readonly cgroups: readonly string[];
  readonly startedAt: Date | undefined;
  readonly ancestors: readonly Ancestor[];
  /** What could not be read, and why. */
  readonly problems: readonly string[];
}

interface Ancestor {
  readonly pid: number;
  readonly name: string;
}

export interface NameFiles {
  readonly users: PasswdFile;
  readonly groups: PasswdFile;
}

interface ProcessStat {
  readonly name: string;
  readonly parentPid: number;
  /** Of the machine's clock ticks, since it was started. */
  readonly startTicks: number;
}

const MOST_ANCESTORS = 8;
/** USER_HZ: the same on every architecture that Node.js runs on (proc(5)). */
const TICKS_A_SECOND = 100;

/** @param procRoot where procfs is mounted. */
export function readProcessFacts(
  process: AttestedProcess,
  names: NameFiles,
  procRoot = '/proc',
): ProcessFacts {
  const problems: string[] = [];
  const attempt = <Fact>(what: string, read: () => Fact): Fact | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(`${what}: ${errorMessage(error)}`);
      return undefined;
    }
  };
  const { gid, pid, procPath, uid } = process;
  const stat = attempt('state', () => parseProcessStat(readFileSync(join(procPath, 'stat'), 'utf8')));
  return {
    ...{ pid, uid, gid },
    user: names.users.nameOf(uid),
    group: names.groups.nameOf(gid),
    name: stat?.name,
    executable: attempt('executable', () => readlinkSync(join(procPath, 'exe'))),
    cgroups:
      attempt('cgroups', () =>
        readCgroups(process).map(
          ({ controllers, hierarchyId, path }) => `${hierarchyId}:${controllers}:${path}`,
        ),
      ) ?? [],
    startedAt: stat === undefined ? undefined : attempt('start', () => startOf(stat, procRoot)),
    ancestors: stat === undefined ? [] : ancestorsOf(stat, procRoot),
    problems,
  };
}

/** The name stands in brackets and may hold brackets and spaces itself. @throws BonafideError `internal` */
export function parseProcessStat(text: string): ProcessStat {
  const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
  const fields = text
    .slice(close + 1)
    .trim()
    .split(' ');
  const [parentPid, startTicks] = [Number(fields[1]), Number(fields[19])];
  if (open < 0 || close < open || !Number.isInteger(parentPid) || !Number.isSafeInteger(startTicks)) {
    throw new BonafideError('internal', 'the state of the process is not readable');
  }
  return { name: text.slice(open + 1, close), parentPid, startTicks };
}

function startOf({ startTicks }: ProcessStat, procRoot: string): Date {
  const bootSeconds = Number(/^btime (\d+)$/m.exec(readFileSync(join(procRoot, 'stat'), 'utf8'))?.[1]);
  if (!Number.isSafeInteger(bootSeconds))
    throw new BonafideError('internal', 'the start of the machine is not known');
  return new Date((bootSeconds + startTicks / TICKS_A_SECOND) * 1000);
}

/** By pid, as they are now: for reading, not for believing. */
function ancestorsOf(stat: ProcessStat, procRoot: string): readonly Ancestor[] {
  const ancestors: Ancestor[] = [];
  for (let pid = stat.parentPid; pid > 0 && ancestors.length < MOST_ANCESTORS;) {
    try {
      const { name, parentPid } = parseProcessStat(readFileSync(join(procRoot, String(pid), 'stat'), 'utf8'));
      ancestors.push({ pid, name });
      pid = parentPid;
    } catch {
      return ancestors; // it has exited, or is not to be seen from here
    }
  }
  return ancestors;
}
