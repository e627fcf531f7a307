/** The discovery document (OpenID Connect Discovery 1.0 section 3), with what that standard requires and SPIFFE has no use for left empty. */

export interface DiscoverySettings {
  /** Undefined: what the request was addressed to. */
  readonly issuer: URL | undefined;
  readonly keysUrl: URL | undefined;
  /** Begins with a slash and does not end with one, unless it is one. */
  readonly pathPrefix: string;
}

/** @param origin scheme and host of the request, for example `https://oidc.example.org`. */
export function formatDiscoveryDocument(settings: DiscoverySettings, origin: string): string {
  const { issuer, keysUrl, pathPrefix } = settings;
  const own = `${origin}${pathPrefix === '/' ? '' : pathPrefix}`;
  const base = issuer === undefined ? own : withoutSlash(issuer.href);
  const document = {
    issuer: issuer === undefined ? own : issuerText(issuer),
    jwks_uri: keysUrl?.href ?? `${base}/keys`,
    authorization_endpoint: '',
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'ES256', 'ES384'],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** An issuer is compared as text: `https://example.org` must not become `https://example.org/`. */
function issuerText({ href, pathname }: URL): string {
  return pathname === '/' ? withoutSlash(href) : href;
}

function withoutSlash(text: string): string {
  return text.replace(/\/$/, '');
}
