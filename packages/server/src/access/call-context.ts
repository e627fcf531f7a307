/** What the server knows about a call besides its message: who makes it, from where, and under which name it is logged. */
import type { ServerInterceptingCall } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { CallContext } from '@bonafide/shared/rpc/call-context';
import type { CallAudit } from '../audit/call-audit.js';
import type { Caller } from './caller.js';
import type { Peer } from './peer.js';
import type { AccessScope } from './scope.js';

export interface AuthorizedCallContext extends CallContext {
  readonly caller: Caller;
  readonly peer: Peer;
  /** Of a scoped admin, and of nobody else. */
  readonly scope: AccessScope | undefined;
  /**
   * To be called when the call is ended with an error that does not wait for the caller: one that does not read would keep it open, so
   * that its connection is cut if it has not heard of the end within moments.
   */
  readonly endSoon: () => void;
  /** What the call did: noted here, it is in the audit log before the answer leaves. */
  readonly audit: CallAudit;
}

/** gRPC keeps one such object with each call, and shows it to the handler. */
export type AuthContext = ReturnType<ServerInterceptingCall['getAuthContext']>;

const contexts = new WeakMap<AuthContext, AuthorizedCallContext>();

/** An AuthContext through which gRPC carries the call's context to its handler. */
export function authContextOf(context: AuthorizedCallContext): AuthContext {
  const authContext: AuthContext = {};
  contexts.set(authContext, context);
  return authContext;
}

/** @throws BonafideError `internal` for a call that was not authorized, which is a mistake in the wiring. */
export function callContext(call: { getAuthContext(): AuthContext }): AuthorizedCallContext {
  const context = contexts.get(call.getAuthContext());
  if (context === undefined) throw new BonafideError('internal', 'the call reached its handler unauthorized');
  return context;
}

/** An agent, also one in quarantine. @throws BonafideError `internal` when the caller table let somebody else through. */
export function provingAgent(
  context: AuthorizedCallContext,
): Extract<Caller, { kind: 'agent' | 'quarantined_agent' }> {
  const { caller } = context;
  if (caller.kind === 'quarantined_agent') return caller;
  return callingAgent(context);
}

/** @throws BonafideError `internal` when the caller table let somebody else through. */
export function callingAgent(context: AuthorizedCallContext): Extract<Caller, { kind: 'agent' }> {
  if (context.caller.kind !== 'agent') throw new BonafideError('internal', 'the caller is not an agent');
  return context.caller;
}
