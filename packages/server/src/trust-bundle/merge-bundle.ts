/** Additions to and removals from a trust bundle; each change of its content takes the next sequence number. */
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { withoutRepeats } from '@bonafide/shared/bundle/bundle-pem';
import type { TokenAuthority, TrustBundle, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export interface BundleAdditions {
  readonly x509Authorities?: readonly X509Authority[];
  readonly jwtAuthorities?: readonly TokenAuthority[];
  readonly witAuthorities?: readonly TokenAuthority[];
}

export function emptyBundle(trustDomain: TrustDomain): TrustBundle {
  return {
    trustDomain,
    x509Authorities: [],
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: 0,
  };
}

/** Authorities that are there already stay as they are. @returns the same object when nothing is new. */
export function appendToBundle(bundle: TrustBundle, additions: BundleAdditions): TrustBundle {
  return changedBundle(bundle, {
    x509Authorities: withoutRepeats([...bundle.x509Authorities, ...(additions.x509Authorities ?? [])]),
    jwtAuthorities: byKeyId([...bundle.jwtAuthorities, ...(additions.jwtAuthorities ?? [])]),
    witAuthorities: byKeyId([...bundle.witAuthorities, ...(additions.witAuthorities ?? [])]),
  });
}

const DAY_MS = 24 * 3600 * 1000;

interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * An expired authority stays for as long again as it lived, at most a day, for validators whose clocks are behind ours; nothing that it
 * signed outlives it, so nothing is lost afterwards.
 */
export function isPastUse(authority: Lifetime, now: Date): boolean {
  return now > endOfUse(authority);
}

export function endOfUse({ notBefore, notAfter }: Lifetime): Date {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  return new Date(notAfter.getTime() + Math.min(lifetimeMs, DAY_MS));
}

/**
 * Without what is past its use.
 * @param past key IDs of token authorities that are known to be; a bundle does not tell since when its token authorities live.
 * @returns the same object when there is nothing to remove.
 */
export function pruneBundle(bundle: TrustBundle, now: Date, past: readonly string[] = []): TrustBundle {
  const isTokenKept = ({ keyId, expiresAt }: TokenAuthority): boolean =>
    !past.includes(keyId) && (expiresAt === undefined || now.getTime() <= expiresAt.getTime() + DAY_MS);
  return changedBundle(bundle, {
    x509Authorities: bundle.x509Authorities.filter(
      ({ certificate }) => !isPastUse(parseX509Certificate(certificate), now),
    ),
    jwtAuthorities: bundle.jwtAuthorities.filter(isTokenKept),
    witAuthorities: bundle.witAuthorities.filter(isTokenKept),
  });
}

/** Only ever told of lists that grew or shrank, so their lengths say whether anything changed. */
function changedBundle(
  bundle: TrustBundle,
  content: Pick<TrustBundle, 'x509Authorities' | 'jwtAuthorities' | 'witAuthorities'>,
): TrustBundle {
  const isSame =
    content.x509Authorities.length === bundle.x509Authorities.length &&
    content.jwtAuthorities.length === bundle.jwtAuthorities.length &&
    content.witAuthorities.length === bundle.witAuthorities.length;
  return isSame ? bundle : { ...bundle, ...content, sequenceNumber: bundle.sequenceNumber + 1 };
}

function byKeyId(authorities: readonly TokenAuthority[]): readonly TokenAuthority[] {
  const found = new Map<string, TokenAuthority>();
  for (const authority of authorities) if (!found.has(authority.keyId)) found.set(authority.keyId, authority);
  return [...found.values()];
}
