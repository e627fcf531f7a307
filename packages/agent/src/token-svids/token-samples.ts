/** For tests of callers that want no tokens: whoever asks for one is told that there are none. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { WorkloadApiOptions } from '../workload-api/workload-api.js';
import { WitWatch } from './wit-watch.js';

const none = new BonafideError('unimplemented', 'this test has no tokens');

export const WITHOUT_TOKENS: Pick<WorkloadApiOptions, 'jwtSvids' | 'policy' | 'witSvids'> = {
  jwtSvids: { fetch: () => Promise.reject(none) },
  witSvids: {
    watch: (listener) =>
      new WitWatch(listener, {
        now: () => new Date(0),
        add: (entry) => {
          listener.fail(none);
          return { entry, svid: undefined, isSettled: true, watches: new Set() };
        },
        remove: () => undefined,
      }),
  },
  policy: { allowsUnauthenticatedVerifiers: false, allowedForeignJwtClaims: [] },
};
