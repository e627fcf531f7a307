/** What an engine says about the container that a process is in, once it is certain that the two belong together. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from '../attested-process.js';
import type { ContainerEngine } from './container-engine.js';
import type { ContainerLocation } from './container-of.js';
import { parseEngineContainer, type EngineContainer } from './engine-container.js';
import { requireSameContainer } from './same-container.js';

/** Where processes are seen; a test brings its own. */
export interface ProcessView {
  readonly procRoot: string;
  readonly ownProcPath: string;
}

export const REAL_PROCESSES: ProcessView = { procRoot: '/proc', ownProcPath: '/proc/self' };

export interface Inspection {
  readonly engine: ContainerEngine;
  /** Of the engine's API, before `/containers/<id>/json`. */
  readonly apiPrefix: string;
  readonly process: Pick<AttestedProcess, 'procPath'>;
  readonly location: ContainerLocation;
  readonly locate: (process: Pick<AttestedProcess, 'procPath'>) => ContainerLocation | undefined;
  /** Undefined: the container's first process need not be visible, and the caller's control group alone is believed. */
  readonly procRoot: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Undefined when the engine knows no such container.
 * @throws BonafideError as `ContainerEngine.get` and `requireSameContainer`; `failed_precondition` when the container does not run.
 */
export async function inspectContainer(inspection: Inspection): Promise<EngineContainer | undefined> {
  const { engine, apiPrefix, location, procRoot, signal } = inspection;
  const path = `${apiPrefix}/containers/${location.containerId}/json`;
  const answer = await engine.get(path, enginesOf(location), signal);
  if (answer === undefined) return undefined;
  const container = parseEngineContainer(answer, location.containerId);
  if (container.pid === undefined) {
    throw new BonafideError('failed_precondition', "the caller's container does not run, its engine says");
  }
  if (procRoot !== undefined) requireSameContainer({ ...inspection, pid: container.pid, procRoot });
  return container;
}

/** A user's engine speaks for that user's containers only; for the others root's, or one of the agent's own user. */
export function enginesOf({ ownerUid }: Pick<ContainerLocation, 'ownerUid'>): readonly number[] {
  if (ownerUid !== undefined) return [ownerUid];
  return [...new Set([0, process.geteuid?.() ?? 0])];
}
