/** Serves a bundle that we hold, for other trust domains to fetch (SPIFFE Federation section 5.2.1.3). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createBundleHandler } from '@bonafide/shared/bundle-endpoint/bundle-handler';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SpiffeBundle } from '../bundle-source.js';
import { trustBundleOf, type FetchedBundle } from './fetched-bundle.js';

/** What is said beside the keys. */
export interface BundleHandlerOptions {
  /** How often whoever fetches should ask again; 300 seconds unless told, or unless the bundle says something else. */
  readonly refreshHintSeconds?: number | undefined;
}

/** A handler for a server of node:http or node:https, or of a framework that takes such. */
export type BundleHandler = (request: IncomingMessage, response: ServerResponse) => void;

const DEFAULT_HINT_SECONDS = 300;

/**
 * Answers a GET of any path with the newest bundle, to whoever asks: it must stand where clients need no SVID. 503 while there is none.
 * @param source a `BundleSource` or a `BundleSet`.
 * @param trustDomain whose bundle is served. `example.org` or `spiffe://example.org`.
 * @throws BonafideError `invalid_argument` for a malformed trust domain, or a hint that is not a whole number of seconds.
 * @example
 * const handler = bundleHandler(bundleSource, 'example.org');
 * createHttpsServer(x509Source, allowAnonymous(), handler).listen(8443); // an endpoint of profile https_spiffe
 */
export function bundleHandler(
  source: { readonly bundles: ReadonlyMap<TrustDomain, SpiffeBundle & Partial<FetchedBundle>> },
  trustDomain: string,
  { refreshHintSeconds = DEFAULT_HINT_SECONDS }: BundleHandlerOptions = {},
): BundleHandler {
  const wanted = parseTrustDomainOrId(trustDomain);
  if (!Number.isSafeInteger(refreshHintSeconds) || refreshHintSeconds < 1) {
    throw invalidArgument(`the refresh hint is ${refreshHintSeconds}; expected whole seconds, 1 at least`);
  }
  let made: { readonly of: SpiffeBundle; readonly bundle: TrustBundle } | undefined;
  return createBundleHandler({
    bundle: () => {
      const of = source.bundles.get(wanted);
      if (of === undefined) return undefined;
      if (made?.of !== of)
        made = {
          of,
          bundle: trustBundleOf({ ...of, refreshHintSeconds: of.refreshHintSeconds ?? refreshHintSeconds }),
        };
      return made.bundle;
    },
  });
}
