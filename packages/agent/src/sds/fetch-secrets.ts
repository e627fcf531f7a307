/** FetchSecrets: what the caller names, once, as it is now. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { DiscoveryRequest__Output } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryRequest';
import type { DiscoveryResponse } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryResponse';
import type { Subscription, WorkloadUpdate } from '../svid-cache/workload-identities.js';
import type { Caller } from '../workload-api/workload-calls.js';
import { bundleFormFor } from './bundle-form.js';
import { secretsRequestFromProto } from './discovery-request.js';
import { SECRET_TYPE_URL, versionOf } from './secret.js';
import { requestedSecrets, type SecretSources } from './secret-stream.js';

/** How long SVIDs that are still being obtained are waited for. */
const PATIENCE_MS = 10_000;

/** @throws BonafideError `invalid_argument`, or `unavailable` when the caller's SVIDs are not there in time. */
export async function fetchSecrets(
  message: DiscoveryRequest__Output,
  caller: Caller,
  sources: SecretSources,
): Promise<DiscoveryResponse> {
  const { names, node } = secretsRequestFromProto(message);
  const granted = sources.grants.of(await presentUpdate(caller, sources));
  const form = bundleFormFor(node, sources.config.disable_spiffe_cert_validation);
  const secrets = requestedSecrets(names, { caller, form, granted }, sources);
  return {
    versionInfo: versionOf(secrets),
    resources: secrets.map(({ resource }) => resource),
    typeUrl: SECRET_TYPE_URL,
  };
}

async function presentUpdate(
  { selectors, signal }: Caller,
  { clock, identities }: SecretSources,
): Promise<WorkloadUpdate> {
  const releases: (() => void)[] = [];
  try {
    return await new Promise<WorkloadUpdate>((resolve, reject) => {
      const onAbort = (): void => {
        reject(new BonafideError('cancelled', 'the call is over'));
      };
      const late = clock.schedule(PATIENCE_MS, () => {
        reject(new BonafideError('unavailable', 'the SVIDs of this workload are not there yet'));
      });
      const subscription: Subscription = identities.subscribe(selectors, resolve);
      releases.push(
        () => {
          subscription.close();
        },
        () => {
          late.cancel();
        },
        () => {
          signal.removeEventListener('abort', onAbort);
        },
      );
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  } finally {
    for (const release of releases) release();
  }
}
