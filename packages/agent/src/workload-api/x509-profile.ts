/** The X.509-SVID profile (SPIFFE Workload API section 5). */
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { WorkloadIdentities, WorkloadUpdate } from '../svid-cache/workload-identities.js';
import { createBundleStream } from './bundle-stream.js';
import type { Handler, WorkloadCalls } from './workload-calls.js';
import type { WorkloadApiPolicy } from './workload-api.js';
import { X509Responses } from './x509-responses.js';

interface X509ProfileOptions {
  readonly identities: WorkloadIdentities;
  readonly policy: WorkloadApiPolicy;
  readonly log: Logger;
}

type Methods = Record<'FetchX509Bundles' | 'FetchX509SVID', Handler>;

export function createX509Profile(
  calls: WorkloadCalls,
  { identities, log, policy }: X509ProfileOptions,
): Methods {
  const responses = new X509Responses({ log });
  return {
    FetchX509SVID: calls.stream<object, WorkloadUpdate>({
      follow: (_request, { selectors }, feed) =>
        identities.subscribe(selectors, (update) => {
          feed.push(update);
        }),
      encode: (update, caller) => {
        if (update.identities.length === 0) throw caller.noIdentity();
        return responses.svids(update);
      },
    }),
    FetchX509Bundles: calls.stream(
      createBundleStream({ identities, policy }, (update) => responses.bundles(update)),
    ),
  };
}
