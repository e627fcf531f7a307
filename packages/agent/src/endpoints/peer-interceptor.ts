/** Ties each call to the peer of its connection, and refuses those that may not be before any of their messages is looked at. */
import {
  ServerInterceptingCall,
  type Metadata,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { toServiceError } from '@bonafide/shared/rpc/status';
import type { Peer } from './peer.js';

type AuthContext = ReturnType<ServerInterceptingCallInterface['getAuthContext']>;

interface PeerAuthContext extends AuthContext {
  readonly peer: Peer;
}

/** What is known of a call before its first message. */
interface CallStart {
  /** For example `/grpc.health.v1.Health/Check`. */
  readonly path: string;
  readonly metadata: Metadata;
  /** Undefined: its connection has ended. */
  readonly peer: Peer | undefined;
}

/** @returns why the call is refused; undefined: it is not. */
export type CallCheck = (call: CallStart) => BonafideError | undefined;

const SECURITY_HEADER = 'workload.spiffe.io';
/** Health says nothing about identities, and its clients are not SPIFFE's; Envoy does not send the header, nor does SPIRE ask it to. */
const EXEMPT_METHODS = ['/grpc.health.v1.Health/', '/envoy.service.secret.v3.SecretDiscoveryService/'];

/** SPIFFE Workload Endpoint section 3. */
export const requireSecurityHeader: CallCheck = ({ path, metadata }) => {
  if (EXEMPT_METHODS.some((prefix) => path.startsWith(prefix))) return undefined;
  const values = metadata.get(SECURITY_HEADER);
  if (values.length === 1 && values[0] === 'true') return undefined;
  return invalidArgument(
    `security header missing from request: metadata ${SECURITY_HEADER} must be exactly true`,
  );
};

/**
 * @param findPeer by what the listener wrote to the socket as its remote address; no metadata of the call is asked.
 * @param checks all of which a call must pass.
 */
export function createPeerInterceptor(
  findPeer: (connectionId: string | undefined) => Peer | undefined,
  checks: readonly CallCheck[],
): ServerInterceptor {
  return ({ path }, call) => {
    // Now, because after a disconnect the connection's address is unknown.
    const peer = findPeer(call.getConnectionInfo().remoteAddress);
    return new PeerCall(call, peer, (metadata) => {
      for (const check of checks) {
        const refusal = check({ path, metadata, peer });
        if (refusal !== undefined) return refusal;
      }
      return undefined;
    });
  };
}

/**
 * The process on the other end of the connection of this call.
 * @throws BonafideError `unavailable` when the connection has ended.
 */
export function peerOf(call: { getAuthContext(): AuthContext }): Peer {
  const context = call.getAuthContext();
  if (!isPeerAuthContext(context)) throw new BonafideError('unavailable', 'the connection has ended');
  return context.peer;
}

class PeerCall extends ServerInterceptingCall {
  readonly #authContext: AuthContext | PeerAuthContext;

  constructor(
    call: ServerInterceptingCallInterface,
    peer: Peer | undefined,
    check: (metadata: Metadata) => BonafideError | undefined,
  ) {
    super(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, accept) => {
            const refusal = check(metadata);
            if (refusal === undefined) accept(metadata);
            else this.sendStatus(toServiceError(refusal));
          },
        });
      },
    });
    this.#authContext = { transportSecurityType: 'local', ...(peer === undefined ? {} : { peer }) };
  }

  override getAuthContext(): AuthContext {
    return this.#authContext;
  }
}

function isPeerAuthContext(context: AuthContext): context is PeerAuthContext {
  return 'peer' in context;
}
