/** The WIT-SVID profile (SPIFFE Workload API section 7). */
import { formatJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { jwsAlgorithmFor } from '@bonafide/shared/crypto/jws-algorithm';
import { keyTypeOf } from '@bonafide/shared/crypto/key-type';
import { formatPrivateJwk } from '@bonafide/shared/crypto/private-json-web-key';
import type { WITSVIDRequest__Output } from '@bonafide/shared/rpc/gen/WITSVIDRequest';
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import type { WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { WitSvids } from '../token-svids/wit-svids.js';
import type { WitIdentity } from '../token-svids/wit-watch.js';
import { createBundleStream } from './bundle-stream.js';
import { bundleTexts, requestedEntries } from './token-requests.js';
import { uniqueHints } from './unique-hints.js';
import type { WorkloadApiPolicy } from './workload-api.js';
import type { Handler, WorkloadCalls } from './workload-calls.js';

interface WitProfileOptions {
  readonly identities: WorkloadIdentities;
  readonly witSvids: Pick<WitSvids, 'watch'>;
  readonly policy: WorkloadApiPolicy;
  readonly log: Logger;
}

type Methods = Record<'FetchWITBundles' | 'FetchWITSVID', Handler>;

const { definition } = loadService('SpiffeWorkloadAPI');

export function createWitProfile(
  calls: WorkloadCalls,
  { identities, log, policy, witSvids }: WitProfileOptions,
): Methods {
  return {
    FetchWITSVID: calls.stream<WITSVIDRequest__Output, readonly WitIdentity[]>({
      follow: ({ spiffeId }, { selectors }, feed) => {
        if (spiffeId !== '') parseSpiffeId(spiffeId);
        const watch = witSvids.watch({
          update: (svids) => {
            feed.push(svids);
          },
          fail: (error) => {
            feed.fail(error);
          },
        });
        const subscription = identities.follow(selectors, ({ entries }) => {
          const requested = requestedEntries(entries, spiffeId);
          watch.set(requested);
          if (requested.length === 0) feed.push([]);
        });
        return {
          close: () => {
            subscription.close();
            watch.close();
          },
        };
      },
      encode: (svids, caller) => {
        if (svids.length === 0) throw caller.noIdentity();
        return encodeSvids(svids, log);
      },
    }),
    FetchWITBundles: calls.stream(
      createBundleStream({ identities, policy }, (update) =>
        definition.FetchWITBundles.responseSerialize({
          bundles: bundleTexts(update, (bundle) => formatJwkSet(bundle.witAuthorities)),
        }),
      ),
    ),
  };
}

function encodeSvids(identities: readonly WitIdentity[], log: Logger): Buffer {
  const hints = uniqueHints(
    identities.map(({ entry }) => entry),
    log,
  );
  return definition.FetchWITSVID.responseSerialize({
    svids: identities.map(({ svid }, index) => ({
      spiffeId: svid.spiffeId,
      witSvid: svid.token,
      witSvidKey: privateJwkOf(svid),
      hint: hints[index] ?? '',
    })),
  });
}

function privateJwkOf({ privateKey }: WitSvid): string {
  const keyType = keyTypeOf(privateKey);
  if (keyType === undefined) throw new TypeError('a WIT-SVID has a key of no known type');
  return formatPrivateJwk(privateKey, jwsAlgorithmFor(keyType));
}
