/** TPMs that operators enrolled by command, as the store keeps them: by the hash of their endorsement key. */
import type { Page, PageRequest } from './store.js';

export interface TpmEnrollmentRecord {
  /** SHA-256 of the endorsement key's SubjectPublicKeyInfo, lower-case hex. */
  readonly ekHash: string;
  /** For people; empty when there is none. */
  readonly note: string;
  readonly enrolledAt: Date;
}

export interface TpmEnrollmentReader {
  get(ekHash: string): Promise<TpmEnrollmentRecord | undefined>;
  /** Ordered by hash. */
  list(page: PageRequest): Promise<Page<TpmEnrollmentRecord>>;
}

export interface TpmEnrollmentWriter {
  /** @throws BonafideError `already_exists`. */
  create(enrollment: TpmEnrollmentRecord): Promise<void>;
  /** @throws BonafideError `not_found`. */
  delete(ekHash: string): Promise<void>;
}
