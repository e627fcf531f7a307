/** The Workload API as a workload calls it. */
import type { CallSettings } from '@bonafide/shared/rpc/client-call';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import { createSocketClient, explainUnreachable } from '../workload-socket.js';

/** SPIFFE Workload Endpoint section 5: keeps web pages from calling it by accident. */
const SECURITY_HEADER = { 'workload.spiffe.io': 'true' };

/** Every answer until the reader stops. @throws BonafideError as the agent answered, or saying that there is none. */
export async function* fetchX509Svids(
  socketPath: string,
  settings: CallSettings,
): AsyncGenerator<X509SVIDResponse__Output, undefined> {
  const client = createSocketClient(socketPath, 'SpiffeWorkloadAPI');
  try {
    yield* openServerStream(client, 'FetchX509SVID', {}, { ...settings, metadata: SECURITY_HEADER });
  } catch (error) {
    throw explainUnreachable(error, socketPath);
  } finally {
    client.close();
  }
  return undefined;
}
