/** A relationship as an operator writes it down, made into the message that says the same. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { bundleToProto } from '@bonafide/shared/rpc/codec/bundle';
import type { FederationRelationship } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { parseBundle, type BundleFormat } from '../bundle/bundle-format.js';

interface WrittenRelationship {
  readonly trustDomain: TrustDomain;
  readonly url: string;
  readonly profile: 'https_web' | 'https_spiffe';
  readonly endpointId: SpiffeId | undefined;
  readonly bundle: { readonly text: string; readonly format: BundleFormat } | undefined;
}

/** @throws BonafideError `invalid_argument`. */
export function relationshipMessage(written: WrittenRelationship): FederationRelationship {
  const { trustDomain, url, bundle } = written;
  return {
    trustDomain,
    bundleEndpointUrl: url,
    ...profileMessage(written),
    ...(bundle !== undefined && {
      trustDomainBundle: bundleToProto(parseBundle(trustDomain, bundle.text, bundle.format)),
    }),
  };
}

function profileMessage({ profile, endpointId }: WrittenRelationship): Partial<FederationRelationship> {
  if (profile === 'https_web') {
    // Nothing that is said about authentication is passed over.
    if (endpointId !== undefined) {
      throw invalidArgument("an endpoint SPIFFE ID goes with the profile 'https_spiffe' only; leave it out");
    }
    return { bundleEndpointProfile: 'httpsWeb', httpsWeb: {} };
  }
  if (endpointId === undefined) {
    throw invalidArgument("endpoint SPIFFE ID is required if 'https_spiffe' endpoint profile is set");
  }
  return { bundleEndpointProfile: 'httpsSpiffe', httpsSpiffe: { endpointSpiffeId: endpointId } };
}
