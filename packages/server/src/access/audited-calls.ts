/** Holds the answer of every call until the audit log has what the call did (DESIGN: invariant 8). Stands inside the authorization. */
import { ServerInterceptingCall, status, type Metadata, type ServerInterceptor } from '@grpc/grpc-js';
import { revisionsIn } from '@bonafide/shared/rpc/revision-header';
import { toServiceError } from '@bonafide/shared/rpc/status';
import { inSpan } from '@bonafide/shared/telemetry/tracer';
import type { AuditEvent } from '../audit/audit-event.js';
import type { AuditLog } from '../audit/audit-log.js';
import type { CallAudit } from '../audit/call-audit.js';
import { callContext } from './call-context.js';
import type { CallDenials } from './call-denials.js';
import { auditOf } from './rpc-audit.js';

export interface AuditedCallsOptions {
  readonly audit: AuditLog;
  readonly denials: CallDenials;
}

type Status = Parameters<ServerInterceptingCall['sendStatus']>[0];

export function createAuditedCalls({ audit, denials }: AuditedCallsOptions): ServerInterceptor {
  return ({ path }, call) => {
    const isRead = auditOf(path) === 'read';
    let revision: number | undefined;
    /** An answer that could not be told of does not leave, and nothing after it. */
    let isWithheld = false;
    const withhold = (error: unknown): void => {
      isWithheld = true;
      call.sendStatus(toServiceError(error));
    };
    const tellThen = (events: readonly AuditEvent[], proceed: () => void): void => {
      if (isWithheld) return;
      if (events.length === 0) proceed();
      else inSpan('audit.write', {}, () => audit.recordAll(events)).then(proceed, withhold);
    };
    return new ServerInterceptingCall(call, {
      start: (next) => {
        if (isRead) {
          next();
          return;
        }
        next({
          // Before any work: what could not be told of is not begun.
          onReceiveMetadata: (metadata, proceed) => {
            const ready = audit.ready();
            if (ready === undefined) proceed(metadata);
            else
              ready.then(() => {
                proceed(metadata);
              }, withhold);
          },
        });
      },
      sendMetadata: (metadata, next) => {
        revision = onlyRevision(metadata);
        next(metadata);
      },
      sendMessage: (message, next) => {
        tellThen(callContext(call).audit.take(revision), () => {
          next(message);
        });
      },
      sendStatus: (ended, next) => {
        const { audit: told, peer } = callContext(call);
        const events = isRead
          ? [...told.take(revision), ...(isDenial(ended) ? denials.take(told, peer, ended.details) : [])]
          : [...told.take(revision), ...endOf(told, ended, revision)];
        tellThen(events, () => {
          next(ended);
        });
      },
    });
  };
}

/** What is said of a call that ended and whose handler said nothing, or that failed in the end. */
function endOf(told: CallAudit, ended: Status, revision: number | undefined): readonly AuditEvent[] {
  if (ended.code === status.OK) return told.hasTold ? [] : told.whole({ result: 'success', revision });
  if (told.hasTold) return [];
  const reason = ended.details;
  return told.whole({ result: isDenial(ended) ? 'denied' : 'failure', reason });
}

function isDenial({ code }: Status): boolean {
  return code === status.PERMISSION_DENIED || code === status.UNAUTHENTICATED;
}

function onlyRevision(metadata: Metadata): number | undefined {
  const revisions = revisionsIn(metadata);
  return revisions.length === 1 ? revisions[0] : undefined;
}
