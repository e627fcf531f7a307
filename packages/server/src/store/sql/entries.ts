/** Registration entries in SQL. */
import { randomUUID } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { Change } from '../change.js';
import type { CompactEntry, EntryFilter, EntryReader, EntryWriter } from '../entry-record.js';
import type { Page, PageRequest } from '../store.js';
import { readAllCompact, readCompact } from './compact-entries.js';
import { contentColumns, entryFromRow } from './entry-row.js';
import { conditionsOfEntries, ENTRIES } from './entry-filter.js';
import { chooseSource, countQuery, pageQuery, type Source } from './list-query.js';
import { chunks, readPage } from './read-pages.js';
import type { EntryRow, Queries } from './schema.js';
import { encodeSelectors } from './sets.js';

const KEYS_A_STATEMENT = 500;

export class EntryQueries implements EntryReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(id: string): Promise<RegistrationEntry | undefined> {
    const row = await this.db.selectFrom('entries').selectAll().where('id', '=', id).executeTakeFirst();
    return row === undefined ? undefined : entryFromRow(row);
  }

  async list(filter: EntryFilter, page: PageRequest): Promise<Page<RegistrationEntry>> {
    const source = await chooseSource(this.db, ENTRIES, conditionsOfEntries(filter));
    return readPage(page, keyOf, (after, limit) => this.#read(source, after, limit));
  }

  async count(filter: EntryFilter): Promise<number> {
    const source = await chooseSource(this.db, ENTRIES, conditionsOfEntries(filter));
    const { rows } = await countQuery(source).execute(this.db);
    return rows[0]?.total ?? 0;
  }

  all(): AsyncIterable<readonly CompactEntry[]> {
    return readAllCompact(this.db);
  }

  async getMany(ids: readonly string[]): Promise<readonly CompactEntry[]> {
    const found: CompactEntry[] = [];
    for (const some of chunks(ids, KEYS_A_STATEMENT)) found.push(...(await readCompact(this.db, some)));
    return found;
  }

  async findSimilar(content: RegistrationEntryContent): Promise<RegistrationEntry | undefined> {
    const row = await this.db
      .selectFrom('entries')
      .selectAll()
      .where('spiffe_id', '=', content.spiffeId)
      .where('parent_id', '=', content.parentId)
      .where('selectors', '=', encodeSelectors(content.selectors))
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? undefined : entryFromRow(row);
  }

  async listExpired(now: Date): Promise<readonly RegistrationEntry[]> {
    const rows = await this.db
      .selectFrom('entries')
      .selectAll()
      .where('expires_at', '<=', now.getTime())
      .orderBy('expires_at')
      .execute();
    return rows.map(entryFromRow);
  }

  async #read(
    source: Source,
    after: string | undefined,
    limit: number,
  ): Promise<readonly RegistrationEntry[]> {
    const { rows } = await pageQuery<EntryRow>(ENTRIES, source, after, limit).execute(this.db);
    return rows.map(entryFromRow);
  }
}

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
    const id = options.id ?? randomUUID();
    const columns = contentColumns(content);
    const row = { ...columns, id, revision_number: 0, created_at: options.createdAt.getTime() };
    const { numInsertedOrUpdatedRows } = await this.db
      .insertInto('entries')
      .values(row)
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n) {
      throw new BonafideError('already_exists', `entry id ${id} is taken; choose another or leave it out`);
    }
    const entry = entryFromRow(row);
    await this.#insertSets(entry);
    this.#record(changeOf(entry));
    return entry;
  }

  async update(id: string, content: RegistrationEntryContent): Promise<RegistrationEntry> {
    const before = await this.#existing(id);
    const row = {
      ...contentColumns(content),
      id,
      revision_number: before.revisionNumber + 1,
      created_at: before.createdAt.getTime(),
    };
    await this.db.updateTable('entries').set(row).where('id', '=', id).execute();
    const after = entryFromRow(row);
    await this.#deleteSets(before);
    await this.#insertSets(after);
    this.#record(changeOf(before, after));
    return after;
  }

  async delete(id: string): Promise<RegistrationEntry> {
    const entry = await this.#existing(id);
    await this.#deleteSets(entry);
    await this.db.deleteFrom('entries').where('id', '=', id).execute();
    this.#record(changeOf(entry));
    return entry;
  }

  async #existing(id: string): Promise<RegistrationEntry> {
    const entry = await this.get(id);
    if (entry === undefined) throw new BonafideError('not_found', 'entry not found');
    return entry;
  }

  async #insertSets(entry: RegistrationEntry): Promise<void> {
    for (const some of chunks(entry.selectors, KEYS_A_STATEMENT)) {
      const rows = some.map((selector) => ({ entry_id: entry.id, selector: formatSelector(selector) }));
      await this.db.insertInto('entry_selectors').values(rows).execute();
    }
    for (const some of chunks(entry.federatesWith, KEYS_A_STATEMENT)) {
      const rows = some.map((trustDomain) => ({ entry_id: entry.id, trust_domain: trustDomain }));
      await this.db.insertInto('entry_federation').values(rows).execute();
    }
  }

  async #deleteSets(entry: RegistrationEntry): Promise<void> {
    for (const some of chunks(entry.selectors, KEYS_A_STATEMENT)) {
      await this.db
        .deleteFrom('entry_selectors')
        .where('selector', 'in', some.map(formatSelector))
        .where('entry_id', '=', entry.id)
        .execute();
    }
    for (const some of chunks(entry.federatesWith, KEYS_A_STATEMENT)) {
      await this.db
        .deleteFrom('entry_federation')
        .where('trust_domain', 'in', some)
        .where('entry_id', '=', entry.id)
        .execute();
    }
  }
}

function changeOf(entry: RegistrationEntry, after: RegistrationEntry = entry): Change {
  return {
    kind: 'entry',
    entryId: entry.id,
    spiffeIds: [...new Set([entry.spiffeId, after.spiffeId])],
    parentIds: [...new Set([entry.parentId, after.parentId])],
    trustDomains: [...new Set([...entry.federatesWith, ...after.federatesWith])],
  };
}

function keyOf(entry: RegistrationEntry): string {
  return entry.id;
}
