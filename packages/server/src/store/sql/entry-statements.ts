/** Registration entries in SQL, as they are written: many rows a statement. */
import { randomUUID } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { Change } from '../change.js';
import type { EntryContentChange, EntryWriter, NewEntryRecord } from '../entry-record.js';
import { EntryQueries } from './entries.js';
import { contentColumns, entryFromRow } from './entry-row.js';
import { changeEntrySets, type EntryWas } from './entry-sets.js';
import { chunks } from './read-pages.js';
import type { EntryRow, Queries } from './schema.js';

/** A row has sixteen parameters, of which SQLite takes 32,766 and PostgreSQL 65,535. */
const ROWS_A_STATEMENT = 100;

export class EntryStatements extends EntryQueries implements EntryWriter {
  readonly #record: (change: Change) => void;

  constructor(db: Queries, record: (change: Change) => void) {
    super(db);
    this.#record = record;
  }

  async create(
    content: RegistrationEntryContent,
    options: { readonly id: string | undefined; readonly createdAt: Date },
  ): Promise<RegistrationEntry> {
    return only(await this.createMany([{ content, ...options }]));
  }

  async update(id: string, content: RegistrationEntryContent): Promise<RegistrationEntry> {
    return only(await this.updateMany([{ id, content }]));
  }

  async delete(id: string): Promise<RegistrationEntry> {
    return only(await this.deleteMany([id]));
  }

  async createMany(entries: readonly NewEntryRecord[]): Promise<readonly RegistrationEntry[]> {
    const rows = entries.map(({ id = randomUUID(), content, createdAt, revisionNumber = 0 }) => ({
      ...contentColumns(content),
      id,
      revision_number: revisionNumber,
      created_at: createdAt.getTime(),
    }));
    for (const some of chunks(rows, ROWS_A_STATEMENT)) await this.#insert(some);
    return this.#changed(rows.map((row) => ({ before: undefined, after: entryFromRow(row) })));
  }

  async updateMany(changes: readonly EntryContentChange[]): Promise<readonly RegistrationEntry[]> {
    const existing = await this.#existing(changes.map(({ id }) => id));
    const pairs = changes.map(({ content, revisionNumber = 0 }, index) => {
      const before = existing[index];
      if (before === undefined) throw notFound();
      const row = {
        ...contentColumns(content),
        id: before.id,
        revision_number: Math.max(before.revisionNumber + 1, revisionNumber),
        created_at: before.createdAt.getTime(),
      };
      return { before, row };
    });
    for (const some of chunks(pairs, ROWS_A_STATEMENT)) {
      await this.#remove(some.map(({ row }) => row.id));
      await this.#insert(some.map(({ row }) => row));
    }
    return this.#changed(pairs.map(({ before, row }) => ({ before, after: entryFromRow(row) })));
  }

  async deleteMany(ids: readonly string[]): Promise<readonly RegistrationEntry[]> {
    const existing = await this.#existing(ids);
    for (const some of chunks(ids, ROWS_A_STATEMENT)) await this.#remove(some);
    await this.#changed(existing.map((before) => ({ before, after: undefined })));
    return existing;
  }

  async #insert(rows: readonly EntryRow[]): Promise<void> {
    const inserted = await this.db
      .insertInto('entries')
      .values(rows)
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .execute();
    if (inserted.length === rows.length) return;
    const free = new Set(inserted.map(({ id }) => id));
    // What is twice among them was free once.
    const taken = rows.find(({ id }) => !free.delete(id));
    throw new BonafideError(
      'already_exists',
      `entry id ${taken?.id ?? ''} is taken; choose another or leave it out`,
    );
  }

  async #remove(ids: readonly string[]): Promise<void> {
    await this.db.deleteFrom('entries').where('id', 'in', ids).execute();
  }

  /** In the order of the ids. @throws BonafideError `not_found`, also for an id that is there twice. */
  async #existing(ids: readonly string[]): Promise<readonly RegistrationEntry[]> {
    const found = new Map<string, RegistrationEntry>();
    for (const some of chunks(ids, ROWS_A_STATEMENT)) {
      const rows = await this.db.selectFrom('entries').selectAll().where('id', 'in', some).execute();
      for (const row of rows) found.set(row.id, entryFromRow(row));
    }
    return ids.map((id) => {
      const entry = found.get(id);
      if (entry === undefined) throw notFound();
      found.delete(id);
      return entry;
    });
  }

  async #changed(pairs: readonly EntryWas[]): Promise<readonly RegistrationEntry[]> {
    await changeEntrySets(this.db, pairs);
    for (const { before, after } of pairs) this.#record(changeOf(before, after));
    return pairs.flatMap(({ after }) => after ?? []);
  }
}

function only(entries: readonly RegistrationEntry[]): RegistrationEntry {
  const [entry] = entries;
  if (entry === undefined) throw notFound();
  return entry;
}

function notFound(): BonafideError {
  return new BonafideError('not_found', 'entry not found');
}

function changeOf(before: RegistrationEntry | undefined, after: RegistrationEntry | undefined): Change {
  const both = [before, after].filter((entry) => entry !== undefined);
  return {
    kind: 'entry',
    entryId: both[0]?.id ?? '',
    spiffeIds: [...new Set(both.map((entry) => entry.spiffeId))],
    parentIds: [...new Set(both.map((entry) => entry.parentId))],
    trustDomains: [...new Set(both.flatMap((entry) => entry.federatesWith))],
  };
}
