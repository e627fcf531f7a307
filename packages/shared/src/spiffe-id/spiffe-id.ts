/** SPIFFE IDs (SPIFFE-ID section 2): `spiffe://` trust domain, then a path of non-empty segments; at most 2048 bytes. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { parseTrustDomain, quoteCharacter, type TrustDomain } from './trust-domain.js';

declare const spiffeIdBrand: unique symbol;

/** The whole URI, for example `spiffe://example.org/web`; a value of this type has been checked. */
export type SpiffeId = string & { readonly [spiffeIdBrand]: true };

const SCHEME = 'spiffe://';
const MAX_SPIFFE_ID_BYTES = 2048;

/** @throws BonafideError `invalid_argument` naming what is wrong and what would be accepted. */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length === 0) throw invalidArgument('SPIFFE ID is empty; expected spiffe://trust-domain/path');
  if (text.length > MAX_SPIFFE_ID_BYTES)
    throw invalidArgument(`SPIFFE ID is longer than ${MAX_SPIFFE_ID_BYTES} bytes`);
  if (!text.startsWith(SCHEME)) throw invalidArgument('SPIFFE ID must start with spiffe://');
  const slash = text.indexOf('/', SCHEME.length);
  parseTrustDomain(slash === -1 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash));
  if (slash !== -1) checkPath(text.slice(slash));
  return text as SpiffeId;
}

/** @param path empty, or `/` followed by segments. @throws BonafideError `invalid_argument`. */
export function spiffeIdFromParts(trustDomain: string, path: string): SpiffeId {
  if (path !== '' && !path.startsWith('/')) throw invalidArgument('SPIFFE ID path must start with a slash');
  return parseSpiffeId(`${SCHEME}${parseTrustDomain(trustDomain)}${path}`);
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', SCHEME.length);
  return (slash === -1 ? id.slice(SCHEME.length) : id.slice(SCHEME.length, slash)) as TrustDomain;
}

/** Empty for the ID of the trust domain itself, otherwise with its leading slash. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', SCHEME.length);
  return slash === -1 ? '' : id.slice(slash);
}

export function trustDomainId(trustDomain: TrustDomain): SpiffeId {
  return `${SCHEME}${trustDomain}` as SpiffeId;
}

/** `/spire/...` is kept for servers and agents, as in SPIRE, so that registration cannot hand out their identities. */
export function isReserved(id: SpiffeId): boolean {
  const path = pathOf(id);
  return path === '/spire' || path.startsWith('/spire/');
}

export function serverId(trustDomain: TrustDomain): SpiffeId {
  return spiffeIdFromParts(trustDomain, '/spire/server');
}

/** @param attestorType for example `join_token` or `tpm`. @param suffix what the attestor proved, unique within its type. */
export function agentId(trustDomain: TrustDomain, attestorType: string, suffix: string): SpiffeId {
  return spiffeIdFromParts(trustDomain, `/spire/agent/${attestorType}/${suffix}`);
}

export function isAgentId(id: SpiffeId): boolean {
  return pathOf(id).startsWith('/spire/agent/');
}

function checkPath(path: string): void {
  const bad = /[^a-zA-Z0-9._/-]/.exec(path);
  if (bad !== null) {
    throw invalidArgument(
      `SPIFFE ID path has ${quoteCharacter(bad[0])} at position ${bad.index}; only letters, digits, dots, dashes, underscores and slashes are accepted`,
    );
  }
  for (const segment of path.slice(1).split('/')) {
    if (segment === '')
      throw invalidArgument('SPIFFE ID path has an empty segment; remove the doubled or trailing slash');
    if (segment === '.' || segment === '..')
      throw invalidArgument(`SPIFFE ID path has a '${segment}' segment`);
  }
}
