/** The streams of the Workload API (SPIFFE Workload API sections 5 to 7), and what their messages say. */
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { JWTBundlesResponse__Output } from '@bonafide/shared/rpc/gen/JWTBundlesResponse';
import type { WITBundlesResponse__Output } from '@bonafide/shared/rpc/gen/WITBundlesResponse';
import type { WITSVIDResponse__Output } from '@bonafide/shared/rpc/gen/WITSVIDResponse';
import type { X509BundlesResponse__Output } from '@bonafide/shared/rpc/gen/X509BundlesResponse';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { readJwtBundles } from './read-jwt-response.js';
import { readWitBundles, readWitSvids, type WitSvids } from './read-wit-response.js';
import { readX509Bundles, readX509Context } from './read-x509-response.js';
import type { JwtBundles, WitBundles } from './token-bundle.js';
import type { X509Bundles, X509Context } from './x509-context.js';

export type WorkloadApiStub = ServiceClient<'SpiffeWorkloadAPI'>;

export interface StreamProfile<Response, T> {
  readonly open: (
    client: WorkloadApiStub,
    signal: AbortSignal,
    deadlineMs?: number,
  ) => AsyncIterable<Response>;
  readonly read: (response: Response, now: Date) => T;
}

/** SPIFFE Workload Endpoint section 3: shows that no forged request of some other program reached the endpoint. */
export const ENDPOINT_METADATA = { 'workload.spiffe.io': 'true' };

export const X509_SVIDS: StreamProfile<X509SVIDResponse__Output, X509Context> = {
  open: (client, signal, deadlineMs) =>
    openServerStream(client, 'FetchX509SVID', {}, { metadata: ENDPOINT_METADATA, signal, deadlineMs }),
  read: readX509Context,
};

export const X509_BUNDLES: StreamProfile<X509BundlesResponse__Output, X509Bundles> = {
  open: (client, signal, deadlineMs) =>
    openServerStream(client, 'FetchX509Bundles', {}, { metadata: ENDPOINT_METADATA, signal, deadlineMs }),
  read: readX509Bundles,
};

export const JWT_BUNDLES: StreamProfile<JWTBundlesResponse__Output, JwtBundles> = {
  open: (client, signal, deadlineMs) =>
    openServerStream(client, 'FetchJWTBundles', {}, { metadata: ENDPOINT_METADATA, signal, deadlineMs }),
  read: readJwtBundles,
};

export const WIT_BUNDLES: StreamProfile<WITBundlesResponse__Output, WitBundles> = {
  open: (client, signal, deadlineMs) =>
    openServerStream(client, 'FetchWITBundles', {}, { metadata: ENDPOINT_METADATA, signal, deadlineMs }),
  read: readWitBundles,
};

/** @param spiffeId undefined: every identity of this process. */
export function witSvids(spiffeId?: string): StreamProfile<WITSVIDResponse__Output, WitSvids> {
  const request = { spiffeId: spiffeId ?? '' };
  return {
    open: (client, signal, deadlineMs) =>
      openServerStream(client, 'FetchWITSVID', request, { metadata: ENDPOINT_METADATA, signal, deadlineMs }),
    read: readWitSvids,
  };
}
