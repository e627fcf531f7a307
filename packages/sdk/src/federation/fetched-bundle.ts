/** A bundle with what its publisher says about it (SPIFFE Trust Domain and Bundle section 4.1), and its passage to and from documents. */
import { formatBundleDocument, parseBundleDocument as parse } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SpiffeBundle } from '../bundle-source.js';

/** A bundle that was fetched from an endpoint, or read from a document. */
export interface FetchedBundle extends SpiffeBundle {
  /** Grows with every change of the content; 0: the publisher gave none. */
  readonly sequenceNumber: number;
  /** How often the publisher wants to be asked again; undefined: it does not say. */
  readonly refreshHintSeconds: number | undefined;
}

export function fetchedBundle(bundle: TrustBundle): FetchedBundle {
  return { ...bundle, x509Authorities: bundle.x509Authorities.map(({ certificate }) => certificate) };
}

export function trustBundleOf(bundle: SpiffeBundle & Partial<FetchedBundle>): TrustBundle {
  const { trustDomain, jwtAuthorities, witAuthorities, sequenceNumber = 0, refreshHintSeconds } = bundle;
  const x509Authorities = x509AuthoritiesOf(bundle.x509Authorities);
  return {
    trustDomain,
    x509Authorities,
    jwtAuthorities,
    witAuthorities,
    sequenceNumber,
    refreshHintSeconds,
  };
}

export function x509AuthoritiesOf(certificates: readonly Buffer[]): readonly X509Authority[] {
  return certificates.map((certificate) => ({ certificate, isTainted: false }));
}

/**
 * Reads a SPIFFE bundle document, for example from a file: the JWK Set that bundle endpoints serve.
 * @param trustDomain whose it is, for documents do not say.
 * @throws BonafideError `invalid_argument` naming the member or the key that is wrong.
 */
export function parseBundleDocument(trustDomain: string, text: string): FetchedBundle {
  return fetchedBundle(parse(parseTrustDomainOrId(trustDomain), text));
}

/** The SPIFFE bundle document of a bundle, indented. */
export function bundleDocument(bundle: SpiffeBundle & Partial<FetchedBundle>): string {
  return formatBundleDocument(trustBundleOf(bundle));
}
