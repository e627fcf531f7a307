/** The way from a certificate to a trust anchor (RFC 5280 section 6): found among look-alikes, each step checked, the work bounded. */
import { errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import { OID } from './der/object-identifier.js';
import { verifySignatureSync } from './signature-algorithm.js';
import { parseX509Certificate, type X509Certificate } from './x509-certificate.js';

/** The longest chain that is looked at: a leaf and its intermediates. */
export const MAX_CHAIN_LENGTH = 10;
/** Signatures are dear; a chain made of look-alikes must not buy more of them. */
const MAX_SIGNATURE_CHECKS = 64;

export interface PathRules {
  readonly intermediates: readonly X509Certificate[];
  /** They need not be self-signed. */
  readonly anchors: readonly X509Certificate[];
  readonly now: Date;
  /** What the error says when no issuer is found at all. */
  readonly withoutIssuer: string;
  /** What must hold of every signing certificate besides RFC 5280. @throws BonafideError. @param what its part, for the message. */
  readonly checkIssuer?: (issuer: X509Certificate, what: string, isAnchor: boolean) => void;
}

/**
 * Depth first, anchors before intermediates; each intermediate at most once on a path.
 * @param depth how many intermediates are below the issuer of `child` already: none for a leaf.
 * @returns `child` first, the anchor last.
 * @throws BonafideError `invalid_argument` with the first reason not to believe any path.
 */
export function findCertificatePath(
  child: X509Certificate,
  rules: PathRules,
  depth = 0,
): readonly X509Certificate[] {
  const search: PathSearch = { ...rules, signatureChecks: 0, refusal: undefined };
  const path = extendPath([child], depth, search);
  if (path === undefined) throw invalidArgument(search.refusal ?? rules.withoutIssuer);
  return path;
}

interface PathSearch extends PathRules {
  signatureChecks: number;
  /** The first reason for which a candidate was turned down. */
  refusal: string | undefined;
}

function extendPath(
  path: readonly X509Certificate[],
  depth: number,
  search: PathSearch,
): readonly X509Certificate[] | undefined {
  const child = path.at(-1);
  if (child === undefined) return undefined;
  const anchor = search.anchors.find((candidate) => isIssuer(child, candidate, depth, search, true));
  if (anchor !== undefined) return [...path, anchor];
  if (depth >= MAX_CHAIN_LENGTH) return undefined;
  for (const candidate of search.intermediates) {
    if (path.includes(candidate) || !isIssuer(child, candidate, depth, search, false)) continue;
    const found = extendPath([...path, candidate], depth + 1, search);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isIssuer(
  child: X509Certificate,
  issuer: X509Certificate,
  depth: number,
  search: PathSearch,
  isAnchor: boolean,
): boolean {
  if (!issuer.subject.equals(child.issuer)) return false;
  const { authorityKeyId } = child;
  if (
    authorityKeyId !== undefined &&
    issuer.subjectKeyId !== undefined &&
    authorityKeyId !== issuer.subjectKeyId
  )
    return false;
  const what = isAnchor ? 'the authority' : 'an intermediate certificate';
  try {
    checkSigningCertificate(issuer, depth, what);
    search.checkIssuer?.(issuer, what, isAnchor);
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
    search.refusal ??= errorMessage(error);
    return false;
  }
}

/** RFC 5280 section 6.1.4 (k) to (n): what may sign. @param depth how many intermediates follow below it. */
export function checkSigningCertificate(certificate: X509Certificate, depth: number, what: string): void {
  if (!certificate.isCa) throw invalidArgument(`${what} is not a signing certificate`);
  if (certificate.keyUsages !== undefined && !certificate.keyUsages.has('keyCertSign')) {
    throw invalidArgument(`${what} lacks the key usage keyCertSign`);
  }
  if (certificate.pathLength !== undefined && depth > certificate.pathLength) {
    throw invalidArgument(`${what} allows ${certificate.pathLength} intermediates below it, not ${depth}`);
  }
  checkCriticalExtensions(certificate, what);
}

export function checkValidity(certificate: X509Certificate, now: Date, what: string): void {
  if (now < certificate.notBefore)
    throw invalidArgument(`${what} is not valid before ${certificate.notBefore.toISOString()}`);
  if (now > certificate.notAfter)
    throw invalidArgument(`${what} expired at ${certificate.notAfter.toISOString()}`);
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

/** @param handled further ones that the caller acts upon, as in `OID`. */
export function checkCriticalExtensions(
  certificate: X509Certificate,
  what: string,
  handled: ReadonlySet<string> = NONE,
): void {
  // Name constraints limit what is below them whether or not they are marked critical, and we do not evaluate them: refuse.
  if (certificate.extensions.has(OID.nameConstraints))
    throw invalidArgument(`${what} has name constraints, which are not supported`);
  for (const [type, { isCritical }] of certificate.extensions) {
    if (isCritical && !UNDERSTOOD_EXTENSIONS.has(type) && !handled.has(type)) {
      throw invalidArgument(`${what} has a critical extension that is not understood`);
    }
  }
}

const NONE: ReadonlySet<string> = new Set();

/** Those that can be read: an authority that we cannot read cannot vouch for anyone, and must not keep the others from doing so. */
export function readAnchors(authorities: readonly Uint8Array[]): readonly X509Certificate[] {
  return authorities.flatMap((der) => {
    try {
      return [parseX509Certificate(der)];
    } catch {
      return [];
    }
  });
}
