/** Authorizers say which authenticated peers may talk to us; authentication itself comes first and is not theirs. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';

/** Who may talk to us. Made by the `authorize…` functions of this library, or by you. */
export interface Authorizer {
  /** Completes the sentence "expected …", for error messages. */
  readonly expected: string;
  /** Anything but `true` refuses: an authorizer that forgets to answer, or answers with a promise, lets nobody in. */
  allows(peer: SpiffeId): boolean;
  /**
   * Servers only: whether a client may do without an SVID. `never` unless told; `allowed`: one that presents a certificate is verified
   * all the same; `always`: none is asked for. Set by `allowAnonymous` and `allowAnonymousOr`.
   */
  readonly anonymous?: 'never' | 'allowed' | 'always' | undefined;
  /** Clients only: the server shows a certificate for its host name instead of an SVID. Set by `authorizeWebServer`. */
  readonly webPki?: WebPki | undefined;
}

/** How a server without an SVID is verified. */
export interface WebPki {
  /** PEM; undefined: the public authorities that Node.js trusts. */
  readonly ca?: string | readonly string[] | undefined;
}

/** Every peer whose SVID verifies, of any trust domain whose bundle we hold. */
export function authorizeAny(): Authorizer {
  return { expected: 'any SPIFFE ID', allows: () => true };
}

/** @example authorizeId('spiffe://example.org/billing') @throws BonafideError `invalid_argument` when it is not a SPIFFE ID. */
export function authorizeId(id: string): Authorizer {
  const wanted = parseSpiffeId(id);
  return { expected: wanted, allows: (peer) => peer === wanted };
}

/** @throws BonafideError `invalid_argument` when one is not a SPIFFE ID, or there are none. */
export function authorizeOneOf(ids: readonly string[]): Authorizer {
  const wanted = new Set(ids.map((id) => parseSpiffeId(id)));
  if (wanted.size === 0) throw invalidArgument('no SPIFFE ID to authorize; expected at least one');
  return { expected: `one of ${[...wanted].join(', ')}`, allows: (peer) => wanted.has(peer) };
}

/** Every peer of one trust domain. @param trustDomain `example.org` or `spiffe://example.org`. */
export function authorizeMemberOf(trustDomain: string): Authorizer {
  const wanted = parseTrustDomainOrId(trustDomain);
  return {
    expected: `a member of trust domain ${wanted}`,
    allows: (peer) => trustDomainOf(peer) === wanted,
  };
}

/**
 * A rule of your own. It must answer at once: the handshake waits for it.
 * @example authorizeMatching((id) => id.startsWith('spiffe://example.org/region/eu/'), 'a workload in the EU')
 */
export function authorizeMatching(
  matches: (peer: SpiffeId) => boolean,
  expected = 'a SPIFFE ID that the matcher accepts',
): Authorizer {
  return { expected, allows: (peer) => matches(peer) };
}

/**
 * For servers whose clients need not show who they are: TLS in which the server alone has an SVID.
 * @example createHttpsServer(source, allowAnonymous(), (request, response) => response.end('hello, whoever you are'));
 */
export function allowAnonymous(): Authorizer {
  return { expected: 'a client without an SVID', allows: () => false, anonymous: 'always' };
}

/**
 * For servers that ask for an SVID and serve those without one too, for example to authenticate them by a token. A client that does
 * present a certificate must be authorized; `peerSpiffeId` answers undefined for one that does not.
 */
export function allowAnonymousOr(authorizer: Authorizer): Authorizer {
  return {
    expected: `${authorizer.expected}, or no certificate`,
    allows: (peer) => authorizer.allows(peer),
    anonymous: 'allowed',
  };
}

/**
 * For clients of a server outside SPIFFE: it is verified by its host name and the web's authorities, while we present our SVID.
 * @example createHttpsAgent(source, authorizeWebServer());
 */
export function authorizeWebServer(webPki: WebPki = {}): Authorizer {
  return { expected: 'a server of the web, without an SVID', allows: () => false, webPki };
}
