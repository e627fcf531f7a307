/** What one call tells the audit log: its handler notes what happened, and no answer leaves before that is written. */
import { inSpan } from '@bonafide/shared/telemetry/tracer';
import type { RpcAudit } from '../access/rpc-audit.js';
import type { AuditActor, AuditEvent } from './audit-event.js';
import type { AuditLog } from './audit-log.js';

/** What a handler knows; the rest is known of the call. */
export type NotedEvent = Partial<Omit<AuditEvent, 'actor' | 'method' | 'requestId'>>;

export interface CallAuditOptions {
  readonly audit: AuditLog;
  readonly action: RpcAudit;
  readonly actor: AuditActor;
  readonly method: string;
  readonly requestId: string;
}

export class CallAudit implements Pick<AuditLog, 'record'> {
  readonly #options: CallAuditOptions;
  #noted: NotedEvent[] = [];
  #hasTold = false;

  constructor(options: CallAuditOptions) {
    this.#options = options;
  }

  /** Whether anything was told of the call, noted or recorded. */
  get hasTold(): boolean {
    return this.#hasTold;
  }

  /** Is written before the next message of the call leaves, or its end; one for each item of a batch. */
  note(event: NotedEvent): void {
    this.#hasTold = true;
    this.#noted.push(event);
  }

  /** At once, as one of this call. @throws BonafideError `unavailable` when it cannot be written. */
  async record(event: AuditEvent): Promise<void> {
    this.#hasTold = true;
    const { actor, method, requestId } = this.#options;
    await inSpan('audit.write', {}, () => this.#options.audit.record({ ...event, actor, method, requestId }));
  }

  /**
   * Takes what was noted since the last time, to be written.
   * @param revision that the answer names, for notes that name none.
   */
  take(revision: number | undefined): readonly AuditEvent[] {
    if (this.#noted.length === 0) return [];
    const { action, actor, method, requestId } = this.#options;
    const events = this.#noted.map((noted) => {
      const named = noted.event ?? (action === 'read' ? undefined : action);
      if (named === undefined) throw new Error(`a note about ${method} names no event`);
      const { result = 'success' } = noted;
      const committed = result === 'success' ? revision : undefined;
      return { revision: committed, ...noted, result, event: named, actor, method, requestId };
    });
    this.#noted = [];
    return events;
  }

  /** The one event of a call whose handler noted nothing. */
  whole(noted: NotedEvent): readonly AuditEvent[] {
    this.note(noted);
    return this.take(undefined);
  }
}
