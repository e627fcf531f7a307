/** What a restore leaves in the data folder for the server that starts next, which tells its audit log of it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfExists, writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import { z } from 'zod';

const FILE = 'restored.json';

const noteSchema = z.strictObject({
  /** RFC 3339. */
  restored_at: z.iso.datetime(),
  backup_created_at: z.iso.datetime(),
  backup_version: z.string().max(100),
  /** That the registry has again. */
  revision: z.int().min(0),
  with_keys: z.boolean(),
});

export type RestoreNote = z.output<typeof noteSchema>;

export async function leaveRestoreNote(dataFolder: string, note: RestoreNote): Promise<void> {
  await writeFileAtomic(join(dataFolder, FILE), `${JSON.stringify(note)}\n`);
}

/** A note that cannot be read tells that there was a restore all the same. */
export async function readRestoreNote(dataFolder: string): Promise<Partial<RestoreNote> | undefined> {
  const text = (await readFileIfExists(join(dataFolder, FILE)))?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    return noteSchema.parse(JSON.parse(text));
  } catch {
    return {};
  }
}

export async function removeRestoreNote(dataFolder: string): Promise<void> {
  await rm(join(dataFolder, FILE), { force: true });
}
