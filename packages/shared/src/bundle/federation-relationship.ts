/** What is known of a foreign trust domain's bundle endpoint (SPIFFE Federation section 5.1): its URL and how it authenticates itself. */
import { invalidArgument } from '../errors/bonafide-error.js';
import type { SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';

/** SPIFFE Federation section 5.2: never to be guessed from the URL. */
export type BundleEndpointProfile =
  /** A certificate of the web PKI for the URL's host. */
  | { readonly kind: 'https_web' }
  /** An X.509-SVID of exactly this ID, which need not be of the trust domain whose bundle is served. */
  | { readonly kind: 'https_spiffe'; readonly endpointId: SpiffeId };

export interface BundleEndpoint {
  readonly url: BundleEndpointUrl;
  readonly profile: BundleEndpointProfile;
}

/** The bundle of `trustDomain` is fetched from the endpoint. One-way, as section 6 has it. */
export interface FederationRelationship {
  /** Bundles do not say whose they are; this does. */
  readonly trustDomain: TrustDomain;
  readonly endpoint: BundleEndpoint;
}

declare const urlBrand: unique symbol;
/** An https URL with a host and without user info. */
export type BundleEndpointUrl = string & { readonly [urlBrand]: true };

const LONGEST_URL = 2048;

/** Sections 5.2.1.1 and 5.2.2.1. @throws BonafideError `invalid_argument`. */
export function parseBundleEndpointUrl(text: string): BundleEndpointUrl {
  if (text.length > LONGEST_URL) {
    throw invalidArgument(`bundle endpoint URL is longer than ${LONGEST_URL} characters`);
  }
  // URL removes blanks and line breaks without a word.
  if (!/^[\x21-\x7e]*$/.test(text)) {
    throw invalidArgument('failed to parse bundle endpoint URL: only printable ASCII is accepted');
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw invalidArgument(
      'failed to parse bundle endpoint URL: expected for example https://other.example:8443',
      cause,
    );
  }
  if (url.protocol !== 'https:') throw invalidArgument('bundle endpoint URL must use the https scheme');
  // `https:host` and `https:/host` are URLs to a browser, not to RFC 3986.
  if (!/^https:\/\/[^/]/i.test(text) || url.hostname === '') {
    throw invalidArgument('bundle endpoint URL must specify the host');
  }
  if (url.username !== '' || url.password !== '' || /^[^/]*\/\/[^/?#]*@/.test(text)) {
    throw invalidArgument('bundle endpoint URL must not contain user info');
  }
  return text as BundleEndpointUrl;
}
