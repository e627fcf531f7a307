/** What an upstream authority publishes, kept in our own bundle: what it adds, taints and takes back. */
import type { TokenAuthority, TrustBundle, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import { appendToBundle } from './merge-bundle.js';

/** The part of a bundle that is the upstream authority's. */
export type UpstreamBundle = Pick<TrustBundle, 'x509Authorities' | 'jwtAuthorities' | 'witAuthorities'>;

export interface UpstreamChange {
  /** What it published before: what is not there any more is taken back. */
  readonly before: UpstreamBundle;
  readonly now: UpstreamBundle;
  /** Keys by which authorities are kept although they are not published any more: our own signers stand under them. */
  readonly kept: ReadonlySet<string>;
}

/** @returns the same object when nothing changes. */
export function followUpstreamBundle(
  bundle: TrustBundle,
  { before, now, kept }: UpstreamChange,
): TrustBundle {
  const followed = {
    ...bundle,
    x509Authorities: follow(
      bundle.x509Authorities,
      before.x509Authorities,
      now.x509Authorities,
      kept,
      x509Key,
    ),
    jwtAuthorities: follow(bundle.jwtAuthorities, before.jwtAuthorities, now.jwtAuthorities, kept, tokenKey),
    witAuthorities: follow(bundle.witAuthorities, before.witAuthorities, now.witAuthorities, kept, tokenKey),
  };
  const appended = appendToBundle({ ...followed, sequenceNumber: 0 }, now);
  const isSame =
    appended.sequenceNumber === 0 &&
    followed.x509Authorities === bundle.x509Authorities &&
    followed.jwtAuthorities === bundle.jwtAuthorities &&
    followed.witAuthorities === bundle.witAuthorities;
  return isSame ? bundle : { ...appended, sequenceNumber: bundle.sequenceNumber + 1 };
}

export function x509Key({ certificate }: X509Authority): string {
  return certificate.toString('base64');
}

function tokenKey({ keyId }: TokenAuthority): string {
  return keyId;
}

/** What is tainted above is tainted here; nothing is ever made good again. What is gone above is gone here. */
function follow<Authority extends { readonly isTainted: boolean }>(
  present: readonly Authority[],
  before: readonly Authority[],
  now: readonly Authority[],
  kept: ReadonlySet<string>,
  keyOf: (authority: Authority) => string,
): readonly Authority[] {
  const published = new Map(now.map((authority) => [keyOf(authority), authority]));
  const takenBack = new Set(before.map(keyOf).filter((key) => !published.has(key) && !kept.has(key)));
  const isTaintedNow = (authority: Authority): boolean =>
    !authority.isTainted && published.get(keyOf(authority))?.isTainted === true;
  if (!present.some((authority) => takenBack.has(keyOf(authority)) || isTaintedNow(authority)))
    return present;
  return present
    .filter((authority) => !takenBack.has(keyOf(authority)))
    .map((authority) => (isTaintedNow(authority) ? { ...authority, isTainted: true } : authority));
}
