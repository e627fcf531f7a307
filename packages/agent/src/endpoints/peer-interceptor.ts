/** Ties each call to the peer of its connection, and demands the security header (SPIFFE Workload Endpoint section 3). */
import {
  ServerInterceptingCall,
  status,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Peer } from './peer.js';

type AuthContext = ReturnType<ServerInterceptingCallInterface['getAuthContext']>;

interface PeerAuthContext extends AuthContext {
  readonly peer: Peer;
}

const SECURITY_HEADER = 'workload.spiffe.io';
/** Health says nothing about identities, and its clients are not SPIFFE's. */
const EXEMPT_METHODS = '/grpc.health.v1.Health/';

/** @param findPeer by what the listener wrote to the socket as its remote address; no metadata of the call is asked. */
export function createPeerInterceptor(
  findPeer: (connectionId: string | undefined) => Peer | undefined,
): ServerInterceptor {
  return ({ path }, call) => {
    // Now, because after a disconnect the connection's address is unknown.
    const peer = findPeer(call.getConnectionInfo().remoteAddress);
    return new PeerCall(call, peer, !path.startsWith(EXEMPT_METHODS));
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

  constructor(call: ServerInterceptingCallInterface, peer: Peer | undefined, needsHeader: boolean) {
    super(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, accept) => {
            const values = metadata.get(SECURITY_HEADER);
            if (needsHeader && (values.length !== 1 || values[0] !== 'true')) {
              const details = `security header missing from request: metadata ${SECURITY_HEADER} must be exactly true`;
              this.sendStatus({ code: status.INVALID_ARGUMENT, details });
              return;
            }
            accept(metadata);
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
