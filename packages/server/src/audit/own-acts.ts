/** What the server does by itself, told to the audit log: nobody waits for an answer that could be withheld. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AuditEvent } from './audit-event.js';
import type { AuditEventName } from './audit-events.js';
import type { AuditRecorder } from './audit-log.js';

export interface ToldOfOwnAct extends Pick<
  AuditEvent,
  'subject' | 'revision' | 'details' | 'svid' | 'reason'
> {
  /** It succeeded, unless told otherwise. */
  readonly result?: AuditEvent['result'];
}

/** Resolves when it is written, or when it is known that it cannot be yet; never rejects. */
export type TellOwnAct = (event: AuditEventName, told?: ToldOfOwnAct) => Promise<void>;

export function tellOwnActs(audit: AuditRecorder, log: Logger): TellOwnAct {
  return async (event, told = {}) => {
    try {
      await audit.record({ event, result: 'success', actor: { kind: 'server' }, ...told });
    } catch (error) {
      log.error({ err: error, event }, 'what the server did is not in the audit log yet');
    }
  };
}
