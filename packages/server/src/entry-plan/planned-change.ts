/** One change of a plan, and the digest by which two plans are told apart. */
import { createHash } from 'node:crypto';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { Turn } from '@bonafide/shared/runtime/turn';
import { contentText } from './entry-fields.js';

export type PlannedChange = PlannedCreation | PlannedUpdate | PlannedDeletion;

export interface PlannedCreation {
  readonly kind: 'create';
  /** Undefined: the server makes one. */
  readonly id: string | undefined;
  readonly after: RegistrationEntryContent;
}

export interface PlannedUpdate {
  readonly kind: 'update';
  readonly before: RegistrationEntry;
  readonly after: RegistrationEntryContent;
  readonly fields: readonly string[];
}

export interface PlannedDeletion {
  readonly kind: 'delete';
  readonly before: RegistrationEntry;
}

/** Equal for equal changes of equal entries. */
export async function digestOf(changes: readonly PlannedChange[], turn: Turn): Promise<string> {
  const hash = createHash('sha256');
  for await (const change of turn.through(changes)) {
    const before = change.kind === 'create' ? [] : [change.before.id, contentText(change.before)];
    const after = change.kind === 'delete' ? [] : [contentText(change.after)];
    const id = change.kind === 'create' ? (change.id ?? '') : '';
    hash.update(`${JSON.stringify([change.kind, id, ...before, ...after])}\n`);
  }
  return hash.digest('hex');
}
