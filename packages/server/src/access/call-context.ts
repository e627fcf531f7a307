/** What the server knows about a call besides its message: who makes it, from where, and under which name it is logged. */
import type { ServerInterceptingCall } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Caller } from './caller.js';
import type { Peer } from './peer.js';

export interface CallContext {
  readonly caller: Caller;
  readonly peer: Peer;
  readonly method: string;
  readonly requestId: string;
  readonly log: Logger;
  /** Fires when the call ends for whatever reason, so that nobody works for a caller who left. */
  readonly signal: AbortSignal;
}

/** gRPC keeps one such object with each call, and shows it to the handler. */
export type AuthContext = ReturnType<ServerInterceptingCall['getAuthContext']>;

const contexts = new WeakMap<AuthContext, CallContext>();

/** An AuthContext through which gRPC carries the call's context to its handler. */
export function authContextOf(context: CallContext): AuthContext {
  const authContext: AuthContext = {};
  contexts.set(authContext, context);
  return authContext;
}

/** @throws BonafideError `internal` for a call that was not authorized, which is a mistake in the wiring. */
export function callContext(call: { getAuthContext(): AuthContext }): CallContext {
  const context = contexts.get(call.getAuthContext());
  if (context === undefined) throw new BonafideError('internal', 'the call reached its handler unauthorized');
  return context;
}

/** @throws BonafideError `internal` when the caller table let somebody else through. */
export function callingAgent(context: CallContext): Extract<Caller, { kind: 'agent' }> {
  if (context.caller.kind !== 'agent') throw new BonafideError('internal', 'the caller is not an agent');
  return context.caller;
}
