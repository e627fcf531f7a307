/** One connection to the parent server under one identity, closed once it is retired and nobody calls over it any more. */
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { createMutualTlsCredentials, mutualTlsChannelOptions } from '@bonafide/shared/rpc/mutual-tls-channel';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WorkloadIdentity } from './read-workload-identity.js';

export interface ParentClients {
  readonly svid: ServiceClient<'spire.api.server.svid.v1.SVID'>;
  readonly bundle: ServiceClient<'spire.api.server.bundle.v1.Bundle'>;
}

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class ParentConnection {
  readonly identity: WorkloadIdentity;
  readonly #clients: ParentClients;
  #calls = 0;
  #isRetired = false;

  /** @param address host and port. Connects with the first call. */
  constructor(address: string, trustDomain: TrustDomain, identity: WorkloadIdentity) {
    this.identity = identity;
    const parent = serverId(trustDomain);
    const credentials = createMutualTlsCredentials({
      serverId: parent,
      authorities: identity.authorities,
      identity,
    });
    const Svid = loadService('spire.api.server.svid.v1.SVID').Client;
    const Bundle = loadService('spire.api.server.bundle.v1.Bundle').Client;
    const svid = new Svid(address, credentials, {
      ...mutualTlsChannelOptions(parent),
      'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 5_000,
      // What breaks without a word is noticed in time to fetch a bundle before it matters.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    this.#clients = {
      svid,
      bundle: new Bundle(address, credentials, { channelOverride: svid.getChannel() }),
    };
  }

  async run<T>(work: (clients: ParentClients) => Promise<T>): Promise<T> {
    this.#calls += 1;
    try {
      return await work(this.#clients);
    } finally {
      this.#calls -= 1;
      this.#closeUnused();
    }
  }

  retire(): void {
    this.#isRetired = true;
    this.#closeUnused();
  }

  #closeUnused(): void {
    if (this.#isRetired && this.#calls === 0) this.#clients.svid.close();
  }
}
