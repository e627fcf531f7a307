/** The gate before every handler: finds the peer of a call, decides who is calling, and refuses whom the table does not name. */
import { randomUUID } from 'node:crypto';
import {
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { toServiceError } from '@bonafide/shared/rpc/status';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Caller } from './caller.js';
import { authContextOf, type AuthContext, type AuthorizedCallContext } from './call-context.js';
import type { CallerIdentification } from './identify-caller.js';
import type { Peer } from './peer.js';
import { allowedCallers } from './rpc-callers.js';

export interface AuthorizationOptions {
  /** The peer of the connection whose `remoteAddress` this is; undefined when that connection has ended. */
  readonly findPeer: (key: string | undefined) => Peer | undefined;
  readonly identification: CallerIdentification;
  readonly log: Logger;
}

export function createAuthorization(options: AuthorizationOptions): ServerInterceptor {
  return (method, call) => authorizedCall(method.path, call, options);
}

function authorizedCall(
  method: string,
  call: ServerInterceptingCallInterface,
  options: AuthorizationOptions,
): ServerInterceptingCall {
  const end = new AbortController();
  // Read now: it says nothing once the connection has ended.
  const peer = options.findPeer(call.getConnectionInfo().remoteAddress);
  let authContext: AuthContext = {};
  const authorized = new ServerInterceptingCall(call, {
    start: (next) => {
      next({
        onReceiveMetadata: (metadata, proceed) => {
          void authorize(method, peer, end.signal, options).then(
            (context) => {
              authContext = authContextOf(context);
              proceed(metadata);
            },
            (error: unknown) => {
              call.sendStatus(toServiceError(error));
            },
          );
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
  { identification, log }: AuthorizationOptions,
): Promise<AuthorizedCallContext> {
  if (peer === undefined) throw new BonafideError('unavailable', 'the connection has ended');
  const requestId = randomUUID();
  const callLog = log.child({ method, request_id: requestId, ...peerFields(peer) });
  try {
    const caller = await identification.identify(method, allowedCallers(method), peer);
    return { caller, peer, requestId, log: callLog.child(callerFields(caller)), signal };
  } catch (error) {
    callLog.warn({ err: error }, 'refused a call');
    throw error;
  }
}

function peerFields(peer: Peer): Record<string, string | number> {
  if (peer.kind === 'local') return { caller_uid: peer.uid, caller_pid: peer.pid };
  return { caller_addr: peer.address, ...(peer.svid === undefined ? {} : { caller_id: peer.svid.spiffeId }) };
}

function callerFields(caller: Caller): Record<string, string> {
  return { authorized_as: caller.kind };
}
