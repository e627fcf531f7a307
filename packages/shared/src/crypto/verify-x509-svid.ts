/** Validation of X.509-SVIDs (X509-SVID section 5, RFC 5280 section 6): a path to an authority, then the leaf's profile. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { pathOf, trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import { OID } from './der/object-identifier.js';
import { verifySignatureSync } from './signature-algorithm.js';
import { parseX509Certificate, type X509Certificate } from './x509-certificate.js';

/** The longest chain that is looked at: a leaf and its intermediates. */
export const MAX_CHAIN_LENGTH = 10;
/** Signatures are dear; a chain made of look-alikes must not buy more of them. */
const MAX_SIGNATURE_CHECKS = 64;

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
  const search: PathSearch = {
    intermediates: rest.map((der) => parseX509Certificate(der)),
    // An authority that we cannot read cannot vouch for anyone, and must not keep the others from doing so.
    authorities: authorities.flatMap((der) => readAuthority(der)),
    trustDomain: trustDomainOf(spiffeId),
    now,
    signatureChecks: 0,
    refusal: undefined,
  };
  if (!findPath(leaf, 0, new Set(), search)) {
    throw invalidArgument(
      search.refusal ?? 'the certificate is not signed by an authority of its trust domain',
    );
  }
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
  checkSigningCertificate(authority, 0, 'the certificate');
  checkValidity(authority, now, 'the certificate');
  const search: PathSearch = {
    intermediates: rest.map((der) => parseX509Certificate(der)),
    authorities: authorities.flatMap((der) => readAuthority(der)),
    trustDomain,
    now,
    signatureChecks: 0,
    refusal: undefined,
  };
  const isBelieved =
    isInTrustDomain(authority, search) &&
    (search.authorities.some(({ der }) => der.equals(authority.der)) ||
      findPath(authority, 1, new Set([authority]), search));
  if (!isBelieved)
    throw invalidArgument(search.refusal ?? 'the certificate does not lead to any trust anchor');
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

/** What we act upon, or may ignore because it limits nothing that we rely on. */
const UNDERSTOOD_EXTENSIONS: ReadonlySet<string> = new Set([
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
  OID.keyUsage,
  OID.extendedKeyUsage,
  OID.subjectAlternativeName,
  OID.basicConstraints,
  OID.certificatePolicies,
  OID.crlDistributionPoints,
  OID.authorityInformationAccess,
]);

interface PathSearch {
  readonly intermediates: readonly X509Certificate[];
  readonly authorities: readonly X509Certificate[];
  readonly trustDomain: TrustDomain;
  readonly now: Date;
  signatureChecks: number;
  /** The first reason for which a candidate was turned down. */
  refusal: string | undefined;
}

/** Depth first, anchors before intermediates; each intermediate at most once on a path. @param depth intermediates below `child`'s issuer. */
function findPath(
  child: X509Certificate,
  depth: number,
  used: ReadonlySet<X509Certificate>,
  search: PathSearch,
): boolean {
  if (search.authorities.some((authority) => isIssuer(child, authority, depth, search, 'the authority')))
    return true;
  if (depth >= MAX_CHAIN_LENGTH) return false;
  return search.intermediates.some(
    (candidate) =>
      !used.has(candidate) &&
      isIssuer(child, candidate, depth, search, 'an intermediate certificate') &&
      isInTrustDomain(candidate, search) &&
      findPath(candidate, depth + 1, new Set([...used, candidate]), search),
  );
}

function isIssuer(
  child: X509Certificate,
  issuer: X509Certificate,
  depth: number,
  search: PathSearch,
  what: string,
): boolean {
  if (!issuer.subject.equals(child.issuer)) return false;
  const { authorityKeyId } = child;
  if (
    authorityKeyId !== undefined &&
    issuer.subjectKeyId !== undefined &&
    authorityKeyId !== issuer.subjectKeyId
  )
    return false;
  try {
    checkSigningCertificate(issuer, depth, what);
    checkValidity(issuer, search.now, what);
    search.signatureChecks += 1;
    if (search.signatureChecks > MAX_SIGNATURE_CHECKS)
      throw invalidArgument('the certificate chain has too many look-alikes');
    const isSigned = verifySignatureSync({
      algorithm: child.signatureAlgorithm,
      publicKey: issuer.publicKey,
      data: child.tbs,
      signature: child.signature,
    });
    if (!isSigned) throw invalidArgument(`the signature of ${what} over the certificate below it is wrong`);
    return true;
  } catch (error) {
    search.refusal ??= error instanceof Error ? error.message : String(error);
    return false;
  }
}

/** X509-SVID sections 3.2 and 4: what may sign. @param depth how many intermediates follow below it. */
function checkSigningCertificate(certificate: X509Certificate, depth: number, what: string): void {
  if (!certificate.isCa) throw invalidArgument(`${what} is not a signing certificate`);
  if (certificate.keyUsages !== undefined && !certificate.keyUsages.has('keyCertSign')) {
    throw invalidArgument(`${what} lacks the key usage keyCertSign`);
  }
  if (certificate.pathLength !== undefined && depth > certificate.pathLength) {
    throw invalidArgument(`${what} allows ${certificate.pathLength} intermediates below it, not ${depth}`);
  }
  if (certificate.spiffeId !== undefined && pathOf(certificate.spiffeId) !== '') {
    throw invalidArgument(`${what} has a SPIFFE ID with a path, which a signing certificate must not have`);
  }
  checkCriticalExtensions(certificate, what);
}

/** An intermediate that names a trust domain may not vouch for another one. */
function isInTrustDomain(intermediate: X509Certificate, search: PathSearch): boolean {
  if (intermediate.spiffeId === undefined || trustDomainOf(intermediate.spiffeId) === search.trustDomain)
    return true;
  search.refusal ??= `an intermediate certificate is of trust domain ${trustDomainOf(intermediate.spiffeId)}, not ${search.trustDomain}`;
  return false;
}

function checkValidity(certificate: X509Certificate, now: Date, what: string): void {
  if (now < certificate.notBefore)
    throw invalidArgument(`${what} is not valid before ${certificate.notBefore.toISOString()}`);
  if (now > certificate.notAfter)
    throw invalidArgument(`${what} expired at ${certificate.notAfter.toISOString()}`);
}

function checkCriticalExtensions(certificate: X509Certificate, what: string): void {
  // Name constraints limit what is below them whether or not they are marked critical, and we do not evaluate them: refuse.
  if (certificate.extensions.has(OID.nameConstraints))
    throw invalidArgument(`${what} has name constraints, which are not supported`);
  for (const [type, { isCritical }] of certificate.extensions) {
    if (isCritical && !UNDERSTOOD_EXTENSIONS.has(type)) {
      throw invalidArgument(`${what} has a critical extension that is not understood`);
    }
  }
}

function readAuthority(der: Uint8Array): readonly X509Certificate[] {
  try {
    return [parseX509Certificate(der)];
  } catch {
    return [];
  }
}
