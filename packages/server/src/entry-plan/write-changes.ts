/** Writes what was planned, some changes at a time: between them others have their turn, but nobody who writes. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { WriteTransaction } from '../store/store.js';
import type { PlannedChange, PlannedCreation, PlannedDeletion, PlannedUpdate } from './planned-change.js';

const CHANGES_A_TURN = 100;

export async function writeChanges(
  { entries }: WriteTransaction,
  changes: readonly PlannedChange[],
  createdAt: Date,
): Promise<void> {
  const deletions: PlannedDeletion[] = [];
  const updates: PlannedUpdate[] = [];
  const creations: PlannedCreation[] = [];
  for (const change of changes) {
    if (change.kind === 'delete') deletions.push(change);
    else if (change.kind === 'update') updates.push(change);
    else creations.push(change);
  }
  await inTurns(deletions, (some) => entries.deleteMany(some.map(({ before }) => before.id)));
  await inTurns(updates, (some) =>
    entries.updateMany(some.map(({ before, after }) => ({ id: before.id, content: after }))),
  );
  await inTurns(creations, (some) =>
    entries.createMany(some.map(({ id, after }) => ({ id, content: after, createdAt }))),
  );
}

async function inTurns<T>(
  changes: readonly T[],
  write: (some: readonly T[]) => Promise<unknown>,
): Promise<void> {
  for (let start = 0; start < changes.length; start += CHANGES_A_TURN) {
    await write(changes.slice(start, start + CHANGES_A_TURN));
    await nextTurn();
  }
}
