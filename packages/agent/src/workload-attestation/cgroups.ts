/** The control groups that a process is in (cgroups(7)), read through its held folder in procfs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from './attested-process.js';

export interface Cgroup {
  /** 0: the one hierarchy of version 2. */
  readonly hierarchyId: number;
  /** Of version 1, for example `cpu,cpuacct` or `name=systemd`; empty for version 2. */
  readonly controllers: string;
  /** Absolute, as seen from the agent's cgroup namespace: begins with `/..` where the process is outside of it. */
  readonly path: string;
}

/** Far more than the kernel has hierarchies, and no path of the kernel's is longer. */
const MOST_HIERARCHIES = 64;
const LONGEST_PATH = 4096;

/** @throws BonafideError `internal` when the file is not as the kernel writes it; a file system error when it cannot be read. */
export function readCgroups({ procPath }: Pick<AttestedProcess, 'procPath'>): readonly Cgroup[] {
  return parseCgroups(readFileSync(join(procPath, 'cgroup'), 'utf8'));
}

/** @throws BonafideError `internal` */
export function parseCgroups(text: string): readonly Cgroup[] {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length > MOST_HIERARCHIES) throw unreadable();
  return lines.map(parseLine);
}

function parseLine(line: string): Cgroup {
  const match = /^(\d{1,10}):([^:]*):(\/.*)$/.exec(line);
  const [, id = '', controllers = '', path = ''] = match ?? [];
  if (match === null || path.length > LONGEST_PATH) throw unreadable();
  return { hierarchyId: Number(id), controllers, path };
}

function unreadable(): BonafideError {
  return new BonafideError('internal', 'the list of control groups of the process is not readable');
}
