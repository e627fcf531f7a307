/** The audit log as the rooms know it: what happened and by whom, on the disk before whoever did it hears of it. */
import type { AuditEvent } from './audit-event.js';

export type { AuditEvent } from './audit-event.js';

/** What rooms need that tell of what they do. */
export interface AuditRecorder {
  /**
   * Resolves once the event is where it will be found after a crash.
   * @param place `in_transaction`: does not wait for the database, which waits for the transaction; whatever is told after it does.
   * @throws BonafideError `unavailable` when it cannot be written.
   */
  record(event: AuditEvent, place?: 'in_transaction'): Promise<void>;
}

export interface AuditLog extends AuditRecorder {
  /** In this order, with nothing between them. @throws BonafideError `unavailable`. */
  recordAll(events: readonly AuditEvent[]): Promise<void>;
  /**
   * Undefined: it can be written, as far as is known. Rejects with `unavailable` when it cannot: nothing is to be begun that must be told of.
   */
  ready(): Promise<void> | undefined;
}

/** The last record that a server wrote before. */
export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}
