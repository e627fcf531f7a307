/** The gate before every handler: finds the peer of a call, decides who is calling, and refuses whom the table does not name. */
import {
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { BonafideError, errorMessage, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { toServiceError } from '@bonafide/shared/rpc/status';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { callNames } from '@bonafide/shared/telemetry/call-names';
import { requestIdOf } from '@bonafide/shared/telemetry/current-call';
import { inSpan } from '@bonafide/shared/telemetry/tracer';
import type { AuditLog } from '../audit/audit-log.js';
import { CallAudit } from '../audit/call-audit.js';
import type { AgentCalls } from './agent-calls.js';
import { actorOf } from './audited-actor.js';
import { authContextOf, type AuthContext, type AuthorizedCallContext } from './call-context.js';
import type { CallDenials } from './call-denials.js';
import type { CallerIdentification } from './identify-caller.js';
import type { Peer } from './peer.js';
import { auditOf } from './rpc-audit.js';
import { allowedCallers } from './rpc-callers.js';

export interface AuthorizationOptions {
  /** The peer of the connection whose `remoteAddress` this is; undefined when that connection has ended. */
  readonly findPeer: (key: string | undefined) => Peer | undefined;
  /** Cuts the connection whose `remoteAddress` this is, with every call on it. */
  readonly cutConnection: (key: string | undefined) => void;
  readonly identification: CallerIdentification;
  readonly agentCalls: AgentCalls;
  readonly audit: AuditLog;
  readonly denials: CallDenials;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long the caller of a call that was ended may take to hear of it; one that does not read would otherwise keep the call open. */
const FAREWELL_MS = 2_000;

export function createAuthorization(options: AuthorizationOptions): ServerInterceptor {
  const refusals = new RefusalLog<Reason>(options);
  return (method, call) => authorizedCall(method.path, call, options, refusals);
}

function authorizedCall(
  method: string,
  call: ServerInterceptingCallInterface,
  options: AuthorizationOptions,
  refusals: RefusalLog<Reason>,
): ServerInterceptingCall {
  const end = new AbortController();
  // Read now: it says nothing once the connection has ended.
  const connection = call.getConnectionInfo().remoteAddress;
  const peer = options.findPeer(connection);
  let authContext: AuthContext = {};
  const refuse = (error: unknown): void => {
    call.sendStatus(toServiceError(error));
  };
  const endSoon = (): void => {
    if (end.signal.aborted) return;
    const farewell = options.clock.schedule(FAREWELL_MS, () => {
      options.cutConnection(connection);
    });
    end.signal.addEventListener(
      'abort',
      () => {
        farewell.cancel();
      },
      { once: true },
    );
  };
  const endOnceLetIn = (refusal: BonafideError): void => {
    refuse(refusal);
    endSoon();
  };
  const authorized = new ServerInterceptingCall(call, {
    start: (next) => {
      next({
        onReceiveMetadata: (metadata, proceed) => {
          inSpan('authorize', {}, () => authorize(method, peer, end.signal, options, refusals))
            .then((authorizedCaller) => {
              const context = { ...authorizedCaller, endSoon };
              authContext = authContextOf(context);
              const { caller } = context;
              if (caller.kind === 'agent' || caller.kind === 'quarantined_agent') {
                const survivesQuarantine = allowedCallers(method).includes('quarantined_agent');
                const tracked = { end: endOnceLetIn, survivesQuarantine };
                options.agentCalls.track(caller.agentId, end.signal, tracked);
              }
              proceed(metadata);
            })
            .catch(refuse);
        },
        onCancel: () => {
          end.abort();
        },
      });
    },
  });
  authorized.getAuthContext = () => authContext;
  return authorized;
}

async function authorize(
  method: string,
  peer: Peer | undefined,
  signal: AbortSignal,
  { identification, audit, denials, log }: AuthorizationOptions,
  refusals: RefusalLog<Reason>,
): Promise<Omit<AuthorizedCallContext, 'endSoon'>> {
  if (peer === undefined) throw new BonafideError('unavailable', 'the connection has ended');
  const { requestId, fields: ids } = requestIdOf(method);
  const fields = { ...callNames(method), ...ids, ...peerFields(peer) };
  try {
    const caller = await identification.identify(method, allowedCallers(method), peer);
    const scope = identification.scopeOf(caller);
    const callLog = log.child({ ...fields, authorized_as: caller.kind });
    callLog.debug('serving a call');
    const told = { audit, action: auditOf(method), actor: actorOf(caller, peer), method, requestId };
    return { caller, peer, scope, requestId, log: callLog, signal, audit: new CallAudit(told) };
  } catch (error) {
    if (error instanceof BonafideError)
      refusals.warn(error.reason, { ...fields, reason: error.reason }, 'refused a call');
    else log.error({ ...fields, err: error }, 'cannot tell who is calling');
    await denials.refused(peer, method, requestId, errorMessage(error));
    throw error;
  }
}

function peerFields(peer: Peer): Record<string, string | number> {
  if (peer.kind === 'local') return { caller_uid: peer.uid, caller_pid: peer.pid };
  return { caller_addr: peer.address, ...(peer.svid === undefined ? {} : { caller_id: peer.svid.spiffeId }) };
}
