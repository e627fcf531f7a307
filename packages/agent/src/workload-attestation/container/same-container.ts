/** Ties what an engine says to the process that asks: its container's first process must be where the caller is. */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from '../attested-process.js';
import type { ContainerLocation } from './container-of.js';

export interface Binding {
  readonly process: Pick<AttestedProcess, 'procPath'>;
  readonly location: ContainerLocation;
  /** The container's first process, by the engine. */
  readonly pid: number;
  readonly locate: (process: Pick<AttestedProcess, 'procPath'>) => ContainerLocation | undefined;
  readonly procRoot: string;
}

/**
 * Whoever may make control groups can name one like another's container, but only the engine puts its first process into the true one.
 * @throws BonafideError `failed_precondition` when the two are not in one group, or the first process is not visible from here.
 */
export function requireSameContainer({ process, location, pid, locate, procRoot }: Binding): void {
  const first = { procPath: join(procRoot, String(pid)) };
  let firstLocation: ContainerLocation | undefined;
  try {
    firstLocation = locate(first);
    if (isSame(location, firstLocation) && (location.source === 'cgroup' || haveSameMounts(process, first)))
      return;
  } catch (cause) {
    throw new BonafideError(
      'failed_precondition',
      `the first process of the caller's container, ${pid} by its engine, cannot be looked at: the agent must share the engine's pid namespace`,
      { cause },
    );
  }
  throw new BonafideError(
    'failed_precondition',
    `the caller is in control group ${location.path}, but process ${pid}, which is the container's by its engine, ` +
      `${firstLocation === undefined ? 'is in none' : `is in ${firstLocation.path}`}: the caller is not believed to be of that container`,
  );
}

function isSame(caller: ContainerLocation, first: ContainerLocation | undefined): boolean {
  return (
    first?.containerId === caller.containerId &&
    first.source === caller.source &&
    first.groups.join('\n') === caller.groups.join('\n')
  );
}

/** Where groups say nothing: nobody joins the mount namespace of a container without being root in it. */
function haveSameMounts(a: Pick<AttestedProcess, 'procPath'>, b: Pick<AttestedProcess, 'procPath'>): boolean {
  return readlinkSync(join(a.procPath, 'ns', 'mnt')) === readlinkSync(join(b.procPath, 'ns', 'mnt'));
}
