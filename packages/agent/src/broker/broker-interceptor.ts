/** Ties each call to the broker at the other end of its connection, and refuses calls without the header (SPIFFE Broker Endpoint section 3). */
import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { ServerCall } from '@bonafide/shared/rpc/call-context';
import { toServiceError } from '@bonafide/shared/rpc/status';
import type { BrokerPeer } from './broker-peer.js';

const SECURITY_HEADER = 'broker.spiffe.io';

/** @param findBroker by what the listener wrote to the socket as its remote address. */
export function createBrokerInterceptor(
  findBroker: (connectionId: string | undefined) => BrokerPeer | undefined,
): ServerInterceptor {
  return (_method, call) => {
    const broker = findBroker(call.getConnectionInfo().remoteAddress);
    const checked = new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, accept) => {
            const values = metadata.get(SECURITY_HEADER);
            if (values.length === 1 && values[0] === 'true') accept(metadata);
            else {
              const message = `security header missing from request: metadata ${SECURITY_HEADER} must be exactly true`;
              checked.sendStatus(toServiceError(invalidArgument(message)));
            }
          },
        });
      },
    });
    checked.getAuthContext = () => ({ transportSecurityType: 'ssl', ...(broker && { broker }) });
    return checked;
  };
}

/** @throws BonafideError `unavailable` when the connection has ended. */
export function brokerOf(call: ServerCall): BrokerPeer {
  const context = call.getAuthContext();
  if ('broker' in context) return context.broker as BrokerPeer;
  throw new BonafideError('unavailable', 'the connection has ended');
}
