/** Which unit of systemd a process belongs to, by its control group: nobody but root can leave the group of a system unit. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Cgroup } from '../cgroups.js';

export interface UnitLocation {
  /** For example `nginx.service`; the unit of the system manager, also for what a user's own manager runs (`user@1000.service`). */
  readonly unit: string;
  /** That directly holds the unit, for example `system.slice`; `-.slice` when it is at the root. */
  readonly slice: string;
}

/** Every kind of unit that can hold processes (systemd.unit(5)). */
const UNIT_NAME = /^[A-Za-z0-9:_.\\@-]{1,240}\.(?:service|scope|socket|mount|swap)$/;
const SLICE_NAME = /^[A-Za-z0-9:_.\\@-]{1,240}\.slice$/;
const ROOT_SLICE = '-.slice';

/**
 * @returns undefined when the process is in no unit, for example because systemd does not run here.
 * @throws BonafideError `failed_precondition` when the process is outside of the agent's cgroup namespace.
 */
export function unitOfCgroups(cgroups: readonly Cgroup[]): UnitLocation | undefined {
  // Where both versions are mounted, systemd keeps its books in its own hierarchy of version 1.
  const own =
    cgroups.find(({ controllers }) => controllers === 'name=systemd') ??
    cgroups.find(({ hierarchyId }) => hierarchyId === 0);
  if (own === undefined) return undefined;
  const names = own.path.split('/').slice(1);
  if (names[0] === '..') {
    throw new BonafideError(
      'failed_precondition',
      "the workload's control group is outside of the agent's cgroup namespace; run the agent in that of the host",
    );
  }
  let slice = ROOT_SLICE;
  for (const name of names) {
    const unit = name.startsWith('_') ? name.slice(1) : name; // how systemd keeps its names apart from the kernel's
    if (SLICE_NAME.test(unit)) slice = unit;
    else return UNIT_NAME.test(unit) ? { unit, slice } : undefined;
  }
  return undefined;
}
