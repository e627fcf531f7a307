/** Enrolled TPMs in SQL: one row each. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Page, PageRequest } from '../store.js';
import type {
  TpmEnrollmentReader,
  TpmEnrollmentRecord,
  TpmEnrollmentWriter,
} from '../tpm-enrollment-record.js';
import { readPage } from './read-pages.js';
import type { Queries, TpmEnrollmentRow } from './schema.js';

export class TpmEnrollmentQueries implements TpmEnrollmentReader {
  protected readonly db: Queries;

  constructor(db: Queries) {
    this.db = db;
  }

  async get(ekHash: string): Promise<TpmEnrollmentRecord | undefined> {
    const row = await this.db
      .selectFrom('tpm_enrollments')
      .selectAll()
      .where('ek_hash', '=', ekHash)
      .executeTakeFirst();
    return row === undefined ? undefined : enrollmentFromRow(row);
  }

  list(page: PageRequest): Promise<Page<TpmEnrollmentRecord>> {
    return readPage(
      page,
      ({ ekHash }: TpmEnrollmentRecord) => ekHash,
      async (after, limit) => {
        let query = this.db.selectFrom('tpm_enrollments').selectAll().orderBy('ek_hash').limit(limit);
        if (after !== undefined) query = query.where('ek_hash', '>', after);
        return (await query.execute()).map(enrollmentFromRow);
      },
    );
  }
}

export class TpmEnrollmentStatements extends TpmEnrollmentQueries implements TpmEnrollmentWriter {
  async create({ ekHash, note, enrolledAt }: TpmEnrollmentRecord): Promise<void> {
    const { numInsertedOrUpdatedRows } = await this.db
      .insertInto('tpm_enrollments')
      .values({ ek_hash: ekHash, note, enrolled_at: enrolledAt.getTime() })
      .onConflict((conflict) => conflict.column('ek_hash').doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n) {
      throw new BonafideError('already_exists', `the TPM ${ekHash} is enrolled already`);
    }
  }

  async delete(ekHash: string): Promise<void> {
    const { numDeletedRows } = await this.db
      .deleteFrom('tpm_enrollments')
      .where('ek_hash', '=', ekHash)
      .executeTakeFirst();
    if (numDeletedRows === 0n) throw new BonafideError('not_found', `the TPM ${ekHash} is not enrolled`);
  }
}

function enrollmentFromRow(row: TpmEnrollmentRow): TpmEnrollmentRecord {
  return { ekHash: row.ek_hash, note: row.note, enrolledAt: new Date(row.enrolled_at) };
}
