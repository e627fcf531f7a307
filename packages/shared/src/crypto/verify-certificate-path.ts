/** Whether a certificate of someone else's PKI leads to one of the authorities that were named (RFC 5280 section 6): of a TPM, of a node. */
import { invalidArgument } from '../errors/bonafide-error.js';
import {
  checkCriticalExtensions,
  checkValidity,
  findCertificatePath,
  MAX_CHAIN_LENGTH,
  readAnchors,
} from './certificate-path.js';
import { objectIdentifierHex, OID } from './der/object-identifier.js';
import { parseDeviceCertificate, parseX509Certificate, type X509Certificate } from './x509-certificate.js';

export interface CertificatePathEvidence {
  /** DER. */
  readonly leaf: Uint8Array;
  /** DER, in any order; those that are not needed do no harm. */
  readonly intermediates: readonly Uint8Array[];
  /** DER of the trust anchors. They need not be self-signed; those that cannot be read vouch for nobody. */
  readonly roots: readonly Uint8Array[];
  readonly now: Date;
  /** Critical extensions of the leaf that the caller acts upon itself, dotted: `2.5.29.9`. */
  readonly handledCriticalExtensions?: readonly string[] | undefined;
  /** Dotted. The leaf must have it, and intermediates that are limited to purposes must be allowed it. */
  readonly extendedKeyUsage?: string | undefined;
  /** How many may be given. */
  readonly maximumIntermediates?: number | undefined;
  /** The leaf may be of version 1, which says nothing of what its key is for. */
  readonly allowsVersion1Leaf?: boolean | undefined;
}

export interface CertificatePath {
  readonly leaf: X509Certificate;
  /** The leaf first, the anchor last. */
  readonly path: readonly X509Certificate[];
}

/**
 * What the leaf is for is the caller's to check: names, key usage, whether it may be an authority itself. A leaf that is one of `roots`
 * is believed only if it signed itself as an authority.
 * @throws BonafideError `invalid_argument` with the first reason not to believe it. Keys of RSA above 8192 bits, SHA-1, name constraints
 * and critical extensions that nobody handles are such reasons.
 */
export function verifyCertificatePath(evidence: CertificatePathEvidence): CertificatePath {
  const { now, extendedKeyUsage, maximumIntermediates = MAX_CHAIN_LENGTH - 1 } = evidence;
  if (evidence.intermediates.length > maximumIntermediates) {
    throw invalidArgument(
      `${evidence.intermediates.length} intermediate certificates; accepted are ${maximumIntermediates}`,
    );
  }
  const leaf =
    evidence.allowsVersion1Leaf === true
      ? parseDeviceCertificate(evidence.leaf)
      : parseX509Certificate(evidence.leaf);
  checkValidity(leaf, now, 'the certificate');
  const handled = new Set((evidence.handledCriticalExtensions ?? []).map(objectIdentifierHex));
  checkCriticalExtensions(leaf, 'the certificate', handled);
  const purpose = extendedKeyUsage === undefined ? undefined : objectIdentifierHex(extendedKeyUsage);
  if (purpose !== undefined && leaf.extendedKeyUsages?.has(purpose) !== true) {
    throw invalidArgument(`the certificate lacks the extended key usage ${extendedKeyUsage}`);
  }
  const path = findCertificatePath(leaf, {
    intermediates: evidence.intermediates.map((der) => parseX509Certificate(der)),
    anchors: readAnchors(evidence.roots),
    now,
    withoutIssuer: 'the certificate does not lead to any of the trusted authorities',
    checkIssuer(issuer, what, isAnchor) {
      const purposes = issuer.extendedKeyUsages;
      if (isAnchor || purpose === undefined || purposes === undefined) return;
      if (!purposes.has(purpose) && !purposes.has(OID.anyExtendedKeyUsage)) {
        throw invalidArgument(`${what} is not allowed the extended key usage ${extendedKeyUsage}`);
      }
    },
  });
  return { leaf, path };
}
