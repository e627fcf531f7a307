/** That the registry is an older one again is told before anything is done with it. */
import { readRestoreNote, removeRestoreNote } from '../backup/restore-note.js';
import type { AuditRecorder } from './audit-log.js';

/** @throws BonafideError `unavailable`; then it is told at the next start. */
export async function tellOfRestore(audit: AuditRecorder, dataFolder: string): Promise<void> {
  const note = await readRestoreNote(dataFolder);
  if (note === undefined) return;
  const { revision, ...details } = note;
  await audit.record({
    ...{ event: 'registry_restored', result: 'success', actor: { kind: 'server' }, details },
    revision,
  });
  await removeRestoreNote(dataFolder);
}
