/** Asks a bundle endpoint once for the bundle of another trust domain (SPIFFE Federation sections 5.2.1.4 and 5.2.2.4). */
import { judgeBundle } from '@bonafide/shared/bundle-endpoint/accept-bundle';
import { FETCH_LIMITS, fetchBundle as fetchOnce } from '@bonafide/shared/bundle-endpoint/fetch-bundle';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { parseEndpoint, type BundleEndpoint, type ParsedEndpoint } from './bundle-endpoint.js';
import { fetchedBundle, type FetchedBundle } from './fetched-bundle.js';

/** How long a bundle endpoint has to answer, and who may stop it. */
export interface FetchBundleOptions {
  /** Ends it with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
  /** From the beginning to the last byte; 30 seconds unless told. */
  readonly timeoutMs?: number | undefined;
  /** The system's unless told. */
  readonly clock?: Clock | undefined;
}

/**
 * One connection and one GET, of which at most 4 MiB are read; redirects are not followed, and proxies not asked.
 * @param trustDomain whose bundle the endpoint serves: documents do not say. `other.example` or `spiffe://other.example`.
 * @throws BonafideError `invalid_argument` for a malformed argument or document; `failed_precondition` without a bundle to authenticate the endpoint by, or for
 * an answer that is not to be believed; `unauthenticated`, `unavailable`, `deadline_exceeded`, `cancelled`.
 * @example
 * const bundle = await fetchBundle('other.example', { profile: 'https_web', url: 'https://bundle.other.example/' });
 */
export async function fetchBundle(
  trustDomain: string,
  endpoint: BundleEndpoint,
  options: FetchBundleOptions = {},
): Promise<FetchedBundle> {
  return fetchedBundle((await fetchNext(parseEndpoint(trustDomain, endpoint), undefined, options)).bundle);
}

/** What an endpoint served after the bundle that is held. */
interface NextBundle {
  readonly bundle: TrustBundle;
  readonly isChanged: boolean;
}

/** @throws BonafideError as `fetchBundle`; `failed_precondition` too for a bundle that may not take the place of the one that is held. */
export async function fetchNext(
  endpoint: ParsedEndpoint,
  held: TrustBundle | undefined,
  options: FetchBundleOptions,
): Promise<NextBundle> {
  const { clock = systemClock, timeoutMs = FETCH_LIMITS.totalMs } = options;
  const bundle = await fetchOnce({
    relationship: endpoint.relationship,
    trust: endpoint.trust(clock.now(), held),
    limits: {
      ...FETCH_LIMITS,
      totalMs: timeoutMs,
      connectMs: Math.min(FETCH_LIMITS.connectMs, timeoutMs),
    },
    clock,
    signal: options.signal ?? new AbortController().signal,
  });
  return { bundle, isChanged: judgeBundle(held, bundle).kind === 'replaces' };
}
