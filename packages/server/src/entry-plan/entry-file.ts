/** A file of entries as the server is given it. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { NewEntry } from '../registration/registration.js';
import type { EntryScope } from './entry-scope.js';

export interface EntryFile {
  /** Undefined: the file owns nothing but the entries that it has. */
  readonly scope: EntryScope | undefined;
  /** Deletes what is in the scope and not in the file. */
  readonly prunes: boolean;
  /** In the order of the file; an item that makes no sense is there with what is wrong with it. */
  readonly entries: readonly (NewEntry | BonafideError)[];
}

export const MOST_ENTRIES = 10_000;
