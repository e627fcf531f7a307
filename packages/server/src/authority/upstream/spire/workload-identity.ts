/** The stream of a Workload API on which this server learns who it is to its parent, and whom to take for the parent. */
import { credentials } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { fromServiceError } from '@bonafide/shared/rpc/status';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { readWorkloadIdentity, type WorkloadIdentity } from './read-workload-identity.js';

export interface WorkloadApiSource {
  /** Of the Unix socket. */
  readonly socketPath: string;
  readonly trustDomain: TrustDomain;
}

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** SPIFFE Workload Endpoint section 3. */
const metadata = { 'workload.spiffe.io': 'true' };

/**
 * Each time something of it changes, until the signal fires or the agent ends the stream.
 * @param deadlineMs for a caller who wants only the first.
 * @throws BonafideError that names the Workload API.
 */
export async function* watchWorkloadIdentity(
  { socketPath, trustDomain }: WorkloadApiSource,
  signal: AbortSignal,
  deadlineMs?: number,
): AsyncGenerator<WorkloadIdentity, undefined> {
  const client = workloadApi(socketPath);
  try {
    const stream = openServerStream(client, 'FetchX509SVID', {}, { metadata, signal, deadlineMs });
    for await (const response of stream) yield readWorkloadIdentity(response, trustDomain);
  } catch (error) {
    throw named(error, socketPath);
  } finally {
    client.close();
  }
  return undefined;
}

/** The identity of now. @throws BonafideError. */
export async function fetchWorkloadIdentity(
  source: WorkloadApiSource,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<WorkloadIdentity> {
  for await (const identity of watchWorkloadIdentity(source, signal, deadlineMs)) return identity;
  throw new BonafideError('unavailable', `Workload API at ${source.socketPath}: ended without an answer`);
}

/**
 * Each time the JWT or the WIT authorities that the agent knows have changed: which they are, the parent says better.
 * @returns of how many trust domains.
 * @throws BonafideError that names the Workload API; `unimplemented` by agents that know of none.
 */
export async function* watchTokenBundles(
  kind: 'jwt' | 'wit',
  { socketPath }: WorkloadApiSource,
  signal: AbortSignal,
): AsyncGenerator<number, undefined> {
  const client = workloadApi(socketPath);
  const method = kind === 'jwt' ? 'FetchJWTBundles' : 'FetchWITBundles';
  try {
    const stream = openServerStream(client, method, {}, { metadata, signal });
    for await (const { bundles } of stream) yield Object.keys(bundles).length;
  } catch (error) {
    throw named(error, socketPath);
  } finally {
    client.close();
  }
  return undefined;
}

function workloadApi(socketPath: string): ServiceClient<'SpiffeWorkloadAPI'> {
  const { Client } = loadService('SpiffeWorkloadAPI');
  return new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
  });
}

function named(error: unknown, socketPath: string): BonafideError {
  const { reason, message } = fromServiceError(error);
  return new BonafideError(reason, `Workload API at ${socketPath}: ${message}`, { cause: error });
}
