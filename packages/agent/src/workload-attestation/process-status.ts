/** The `status` file of a process in procfs, as far as it says who the process is (proc_pid_status(5)). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface ProcessStatus {
  readonly effectiveUid: number;
  readonly effectiveGid: number;
  readonly supplementaryGids: readonly number[];
}

/** @throws BonafideError `internal` when a line is missing or holds what is no user or group ID. */
export function parseProcessStatus(text: string): ProcessStatus {
  return {
    effectiveUid: effectiveId(text, /^Uid:[ \t]*(.*)$/m, 'Uid'),
    effectiveGid: effectiveId(text, /^Gid:[ \t]*(.*)$/m, 'Gid'),
    // `[ \t]*`, because `\s*` would run on into the next line when there are no groups.
    supplementaryGids: ids(text, /^Groups:[ \t]*(.*)$/m, 'Groups'),
  };
}

/** Real, effective, saved and file system ID stand on one line in this order. */
function effectiveId(text: string, line: RegExp, name: string): number {
  const [, effective, , fileSystem] = ids(text, line, name);
  if (effective === undefined || fileSystem === undefined) throw unreadable(name);
  return effective;
}

function ids(text: string, line: RegExp, name: string): readonly number[] {
  const values = line
    .exec(text)?.[1]
    ?.split(/[ \t]+/)
    .filter((word) => word !== '');
  if (values?.every((word) => /^\d{1,10}$/.test(word)) !== true) throw unreadable(name);
  return values.map(Number);
}

function unreadable(name: string): BonafideError {
  return new BonafideError('internal', `the status of the process has no readable line ${name}`);
}
