/** Envoy's secret discovery service (SDS v3) on the Workload API's socket: any Envoy of the node, attested as any workload is. */
import type { Server } from '@grpc/grpc-js';
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { WorkloadCalls } from '../workload-api/workload-calls.js';
import type { SelectorLogging } from '../workload-attestation/shown-selectors.js';
import { DeltaSecrets } from './delta-secrets.js';
import { secretsRequestFromProto } from './discovery-request.js';
import { fetchSecrets } from './fetch-secrets.js';
import { SecretGrants } from './granted-secrets.js';
import type { SdsConfig } from './sds-config.js';
import { StreamSecrets } from './stream-secrets.js';

interface SecretDiscoveryOptions {
  readonly calls: WorkloadCalls;
  readonly identities: Pick<WorkloadIdentities, 'subscribe'>;
  readonly config: SdsConfig;
  /** As in `WorkloadCalls`. */
  readonly selectorLogging?: (() => SelectorLogging) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const SERVICE = 'envoy.service.secret.v3.SecretDiscoveryService';

export function addSecretDiscovery(server: Server, options: SecretDiscoveryOptions): void {
  const { calls, clock, config, identities, log, selectorLogging = () => 'redacted' } = options;
  const refusals = new RefusalLog<'unauthorized_secrets' | 'rejected_secrets'>({ clock, log });
  const sources = { identities, config, grants: new SecretGrants(config), refusals, selectorLogging, clock };
  server.addService(loadService(SERVICE).definition, {
    StreamSecrets: calls.conversation((caller, feed) => new StreamSecrets(sources, caller, feed)),
    DeltaSecrets: calls.conversation((caller, feed) => new DeltaSecrets(sources, caller, feed)),
    FetchSecrets: calls.unary(secretsRequestFromProto, (request, caller) =>
      fetchSecrets(request, caller, sources),
    ),
  });
}
