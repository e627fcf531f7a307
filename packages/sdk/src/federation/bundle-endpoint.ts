/** How a bundle endpoint of another trust domain is reached and authenticated (SPIFFE Federation section 5). */
import type { EndpointTrust } from '@bonafide/shared/bundle-endpoint/connect-to-endpoint';
import {
  parseBundleEndpointUrl,
  type FederationRelationship,
} from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WebPki } from '../tls/authorizer.js';
import type { X509Bundles } from '../workload-api/x509-context.js';
import { x509AuthoritiesOf } from './fetched-bundle.js';

/** Section 5.2: which of the profiles an endpoint has is agreed upon, never guessed from its URL. */
export type BundleEndpoint = WebBundleEndpoint | SpiffeBundleEndpoint;

/** An endpoint that shows a certificate for its host name. */
export interface WebBundleEndpoint extends WebPki {
  readonly profile: 'https_web';
  /** With the scheme https. */
  readonly url: string;
}

/** An endpoint that shows an X.509-SVID. */
export interface SpiffeBundleEndpoint {
  readonly profile: 'https_spiffe';
  /** With the scheme https; its host name plays no part in who the endpoint is. */
  readonly url: string;
  /** Of exactly this SPIFFE ID, which may be of another trust domain than the bundle. */
  readonly endpointId: string;
  /** What has a bundle of that ID's trust domain: a source, a `BundleSet`, or `{ bundles }`. */
  readonly trust: { readonly bundles: X509Bundles };
}

/** An endpoint whose parts have been parsed. */
export interface ParsedEndpoint {
  readonly relationship: FederationRelationship;
  /** As it is now. @param served the newest bundle of the endpoint, by which it is authenticated if it is of that trust domain. */
  trust(now: Date, served: TrustBundle | undefined): EndpointTrust;
}

/** @throws BonafideError `invalid_argument`. */
export function parseEndpoint(trustDomain: string, endpoint: BundleEndpoint): ParsedEndpoint {
  const foreign = parseTrustDomainOrId(trustDomain);
  const url = parseBundleEndpointUrl(endpoint.url);
  if (endpoint.profile === 'https_web') {
    const authorities = endpoint.ca === undefined ? undefined : [endpoint.ca].flat();
    return {
      relationship: { trustDomain: foreign, endpoint: { url, profile: { kind: 'https_web' } } },
      trust: () => ({ kind: 'https_web', authorities }),
    };
  }
  const endpointId = parseSpiffeId(endpoint.endpointId);
  return {
    relationship: { trustDomain: foreign, endpoint: { url, profile: { kind: 'https_spiffe', endpointId } } },
    trust: (now, served) => {
      const isSelfServed = trustDomainOf(endpointId) === foreign;
      const bundle = (isSelfServed ? served : undefined) ?? heldBundle(endpoint, endpointId);
      return { kind: 'https_spiffe', endpointId, bundle, now };
    },
  };
}

/** @throws BonafideError `failed_precondition` when there is none. */
function heldBundle({ trust }: SpiffeBundleEndpoint, endpointId: SpiffeId): TrustBundle {
  const trustDomain: TrustDomain = trustDomainOf(endpointId);
  const authorities = trust.bundles.get(trustDomain)?.x509Authorities ?? [];
  if (authorities.length === 0) {
    throw new BonafideError(
      'failed_precondition',
      `there is no bundle of ${trustDomain}, so its bundle endpoint ${endpointId} cannot authenticate itself; give one as trust`,
    );
  }
  return {
    trustDomain,
    x509Authorities: x509AuthoritiesOf(authorities),
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: 0,
  };
}
