/** Federation relationships on the wire. */
import type {
  BundleEndpoint,
  BundleEndpointProfile,
  FederationRelationship,
} from '../../bundle/federation-relationship.js';
import { parseBundleEndpointUrl } from '../../bundle/federation-relationship.js';
import type { TrustBundle } from '../../bundle/trust-bundle.js';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.js';
import { parseTrustDomainOrId, type TrustDomain } from '../../spiffe-id/trust-domain.js';
import type {
  FederationRelationship as RelationshipProto,
  FederationRelationship__Output as RelationshipOutput,
} from '../gen/spire/api/types/FederationRelationship.js';
import { bundleFromProto, bundleToProto } from './bundle.js';
import { inField } from './field.js';
import { federationMaskFromProto, type FederationMask } from './federation-mask.js';

export interface FederationUpdate {
  readonly trustDomain: TrustDomain;
  /** Only what is to be written. */
  readonly endpoint: Partial<BundleEndpoint>;
  /** Absent: the bundle that is held stays. */
  readonly bundle: TrustBundle | undefined;
}

/** A whole relationship. @throws BonafideError `invalid_argument`. */
export function federationRelationshipFromProto(proto: RelationshipOutput): {
  readonly relationship: FederationRelationship;
  readonly bundle: TrustBundle | undefined;
} {
  const { trustDomain, endpoint, bundle } = federationUpdateFromProto(proto, federationMaskFromProto(null));
  const { url, profile } = endpoint;
  if (url === undefined || profile === undefined) throw invalidArgument('bundle endpoint is missing');
  return { relationship: { trustDomain, endpoint: { url, profile } }, bundle };
}

/** The masked fields. @throws BonafideError `invalid_argument`. */
export function federationUpdateFromProto(proto: RelationshipOutput, mask: FederationMask): FederationUpdate {
  const trustDomain = trustDomainFromProto(proto.trustDomain);
  return {
    trustDomain,
    endpoint: {
      ...(mask.bundleEndpointUrl && { url: parseBundleEndpointUrl(proto.bundleEndpointUrl) }),
      ...(mask.bundleEndpointProfile && { profile: profileFromProto(proto) }),
    },
    bundle: mask.trustDomainBundle ? ownBundleFromProto(proto, trustDomain) : undefined,
  };
}

/** @param mask every field when absent; the trust domain is always there. */
export function federationRelationshipToProto(
  { trustDomain, endpoint }: FederationRelationship,
  bundle: TrustBundle | undefined,
  mask: FederationMask | null = null,
): RelationshipProto {
  const shows = federationMaskFromProto(mask);
  return {
    trustDomain,
    ...(shows.bundleEndpointUrl && { bundleEndpointUrl: endpoint.url }),
    ...(shows.bundleEndpointProfile && profileToProto(endpoint.profile)),
    ...(shows.trustDomainBundle && bundle !== undefined && { trustDomainBundle: bundleToProto(bundle) }),
  };
}

function trustDomainFromProto(name: string): TrustDomain {
  return inField('failed to parse trust domain', () => parseTrustDomainOrId(name));
}

function profileFromProto({ httpsWeb, httpsSpiffe }: RelationshipOutput): BundleEndpointProfile {
  if (httpsSpiffe) {
    const endpointId = inField('failed to parse endpoint SPIFFE ID', () =>
      parseSpiffeId(httpsSpiffe.endpointSpiffeId),
    );
    return { kind: 'https_spiffe', endpointId };
  }
  if (httpsWeb) return { kind: 'https_web' };
  throw invalidArgument('unsupported bundle endpoint profile type: expected https_web or https_spiffe');
}

function profileToProto(profile: BundleEndpointProfile): Partial<RelationshipProto> {
  return profile.kind === 'https_web'
    ? { bundleEndpointProfile: 'httpsWeb', httpsWeb: {} }
    : { bundleEndpointProfile: 'httpsSpiffe', httpsSpiffe: { endpointSpiffeId: profile.endpointId } };
}

/** SPIFFE Federation section 7.3: a bundle stays bound to the trust domain it was configured for. */
function ownBundleFromProto(proto: RelationshipOutput, trustDomain: TrustDomain): TrustBundle | undefined {
  const bundleProto = proto.trustDomainBundle;
  if (bundleProto === null) return undefined;
  const bundle = inField('failed to parse bundle', () => bundleFromProto(bundleProto));
  if (bundle.trustDomain !== trustDomain) {
    throw invalidArgument(
      `trust domain bundle ("${bundle.trustDomain}") must match the trust domain of the federation relationship ("${trustDomain}")`,
    );
  }
  return bundle;
}
