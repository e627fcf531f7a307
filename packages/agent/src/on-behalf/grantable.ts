/** What may be handed out in the name of a workload: nothing that gives power over a server, as in SPIRE. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { WorkloadUpdate } from '../svid-cache/workload-identities.js';

/** Subscribers with the same update are given the same one again. */
const grantableOf = new WeakMap<WorkloadUpdate, WorkloadUpdate>();

export function isGrantable({ isAdmin, isDownstream }: RegistrationEntry): boolean {
  return !isAdmin && !isDownstream;
}

export function grantable(update: WorkloadUpdate): WorkloadUpdate {
  if (update.identities.every(({ entry }) => isGrantable(entry))) return update;
  const present = grantableOf.get(update);
  if (present !== undefined) return present;
  const rest = { ...update, identities: update.identities.filter(({ entry }) => isGrantable(entry)) };
  grantableOf.set(update, rest);
  return rest;
}
