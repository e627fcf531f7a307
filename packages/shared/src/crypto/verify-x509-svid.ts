/** Validation of X.509-SVIDs (X509-SVID section 5, RFC 5280 section 6): a path to an authority, then the leaf's profile. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { pathOf, trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import {
  checkCriticalExtensions,
  checkSigningCertificate,
  checkValidity,
  findCertificatePath,
  MAX_CHAIN_LENGTH,
  readAnchors,
  type PathRules,
} from './certificate-path.js';
import { OID } from './der/object-identifier.js';
import { parseX509Certificate, type X509Certificate } from './x509-certificate.js';

export interface X509SvidEvidence {
  /** DER, leaf first; intermediates in any order. */
  readonly chain: readonly Uint8Array[];
  /** DER of the trust anchors, all of the leaf's trust domain. They need not be self-signed. */
  readonly authorities: readonly Uint8Array[];
  readonly now: Date;
  /** When given, the leaf must be of this trust domain: whose bundle `authorities` is. */
  readonly trustDomain?: TrustDomain | undefined;
}

export interface VerifiedX509Svid {
  readonly spiffeId: SpiffeId;
  readonly leaf: X509Certificate;
}

/**
 * Synchronous, because TLS asks for an answer on the spot; costs about 0.3 ms for each certificate on the path.
 * @throws BonafideError `invalid_argument` with the first reason not to believe the chain.
 */
export function verifyX509Svid({ chain, authorities, now, trustDomain }: X509SvidEvidence): VerifiedX509Svid {
  const [leafDer, ...rest] = chain;
  if (leafDer === undefined) throw invalidArgument('the certificate chain is empty');
  if (chain.length > MAX_CHAIN_LENGTH)
    throw invalidArgument(`the certificate chain is longer than ${MAX_CHAIN_LENGTH}`);
  const { spiffeId, leaf } = parseX509SvidLeaf(leafDer);
  if (trustDomain !== undefined && trustDomainOf(spiffeId) !== trustDomain) {
    throw invalidArgument(
      `the certificate is for trust domain ${trustDomainOf(spiffeId)}, not ${trustDomain}`,
    );
  }
  checkValidity(leaf, now, 'the certificate');
  findCertificatePath(leaf, {
    intermediates: rest.map((der) => parseX509Certificate(der)),
    anchors: readAnchors(authorities),
    now,
    withoutIssuer: 'the certificate is not signed by an authority of its trust domain',
    checkIssuer: issuerRule(trustDomainOf(spiffeId)),
  });
  return { spiffeId, leaf };
}

export interface X509AuthorityEvidence extends Omit<X509SvidEvidence, 'trustDomain'> {
  /** The only one that certificates which name a trust domain may name. */
  readonly trustDomain: TrustDomain;
}

/**
 * A signing certificate that somebody else signed (X509-SVID sections 3.2 and 4): whether what it signs will be believed. An authority
 * that is one of `authorities` itself needs no path.
 * @throws BonafideError `invalid_argument` with the first reason not to believe the chain.
 */
export function verifyX509Authority(evidence: X509AuthorityEvidence): X509Certificate {
  const { chain, authorities, now, trustDomain } = evidence;
  const [first, ...rest] = chain;
  if (first === undefined) throw invalidArgument('the certificate chain is empty');
  if (chain.length > MAX_CHAIN_LENGTH)
    throw invalidArgument(`the certificate chain is longer than ${MAX_CHAIN_LENGTH}`);
  const authority = parseX509Certificate(first);
  const checkIssuer = issuerRule(trustDomain);
  checkSigningCertificate(authority, 0, 'the certificate');
  checkIssuer(authority, 'the certificate', false);
  checkValidity(authority, now, 'the certificate');
  const intermediates = rest.map((der) => parseX509Certificate(der));
  const anchors = readAnchors(authorities);
  if (anchors.some(({ der }) => der.equals(authority.der))) return authority;
  const withoutIssuer = 'the certificate does not lead to any trust anchor';
  findCertificatePath(authority, { intermediates, anchors, now, withoutIssuer, checkIssuer }, 1);
  return authority;
}

/**
 * The leaf's profile alone (X509-SVID sections 2, 3.1, 4 and 5.2); its signature is not checked.
 * @throws BonafideError `invalid_argument`.
 */
export function parseX509SvidLeaf(der: Uint8Array): VerifiedX509Svid {
  const leaf = parseX509Certificate(der);
  const [uri] = leaf.uriNames;
  if (uri === undefined)
    throw invalidArgument('the certificate has no URI name; an X.509-SVID has exactly one');
  if (leaf.uriNames.length > 1)
    throw invalidArgument('the certificate has more than one URI name; an X.509-SVID has exactly one');
  if (leaf.spiffeId === undefined)
    throw invalidArgument('the URI name of the certificate is not a SPIFFE ID');
  if (pathOf(leaf.spiffeId) === '')
    throw invalidArgument(
      'the SPIFFE ID of the certificate has no path; only signing certificates have none',
    );
  if (leaf.isCa) throw invalidArgument('the certificate is a signing certificate; those do not authenticate');
  if (leaf.keyUsages?.has('digitalSignature') !== true)
    throw invalidArgument('the certificate lacks the key usage digitalSignature');
  if (leaf.keyUsages.has('keyCertSign') || leaf.keyUsages.has('cRLSign')) {
    throw invalidArgument(
      'the certificate has the key usage keyCertSign or cRLSign, which a leaf must not have',
    );
  }
  if (leaf.extensions.get(OID.keyUsage)?.isCritical !== true)
    throw invalidArgument('the key usage of the certificate is not critical');
  const purposes = leaf.extendedKeyUsages;
  if (purposes !== undefined && !(purposes.has(OID.serverAuth) && purposes.has(OID.clientAuth))) {
    throw invalidArgument('the extended key usage of the certificate lacks serverAuth or clientAuth');
  }
  checkCriticalExtensions(leaf, 'the certificate');
  return { spiffeId: leaf.spiffeId, leaf };
}

/** X509-SVID sections 3.2 and 4: a signing certificate has no path in its ID, and does not vouch for another trust domain. */
function issuerRule(trustDomain: TrustDomain): NonNullable<PathRules['checkIssuer']> {
  return ({ spiffeId }, what, isAnchor) => {
    if (spiffeId === undefined) return;
    if (pathOf(spiffeId) !== '') {
      throw invalidArgument(`${what} has a SPIFFE ID with a path, which a signing certificate must not have`);
    }
    // Whose authority an anchor is, the bundle says that it is in.
    if (!isAnchor && trustDomainOf(spiffeId) !== trustDomain) {
      throw invalidArgument(`${what} is of trust domain ${trustDomainOf(spiffeId)}, not ${trustDomain}`);
    }
  };
}
