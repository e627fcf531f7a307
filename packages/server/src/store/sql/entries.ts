/** Registration entries in SQL, as they are read. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { CompactEntry, EntryFilter, EntryReader } from '../entry-record.js';
import type { Page, PageRequest } from '../store.js';
import { readAllCompact, readCompact } from './compact-entries.js';
import { entryFromRow } from './entry-row.js';
import { conditionsOfEntries, ENTRIES } from './entry-filter.js';
import { chooseSource, countQuery, pageQuery, type Source } from './list-query.js';
import { chunks, readPage } from './read-pages.js';
import type { EntryRow, Queries } from './schema.js';
import { readScoped, scopedKey } from './scoped-entries.js';
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
    const conditions = conditionsOfEntries(filter);
    const { under } = filter;
    if (under !== undefined && conditions.length === 1) {
      return readPage(page, scopedKey, async (after, limit) =>
        (await readScoped(this.db, under, after, limit)).map(entryFromRow),
      );
    }
    const source = await chooseSource(this.db, ENTRIES, conditions);
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
    for (const some of chunks(ids, KEYS_A_STATEMENT)) {
      if (found.length > 0) await nextTurn();
      found.push(...(await readCompact(this.db, some)));
    }
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

function keyOf(entry: RegistrationEntry): string {
  return entry.id;
}
