/** SPIRE's bundle of our trust domain into ours: whatever SPIRE published is published here too, as tainted as it is there. */
import type { TokenAuthority, TrustBundle, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import { appendToBundle, pruneBundle } from '../trust-bundle/merge-bundle.js';

/** @returns ours as it was when nothing is new. */
export function mergeOwnBundle(ours: TrustBundle | undefined, theirs: TrustBundle, now: Date): TrustBundle {
  // What is past its use would be removed at the next start, and come back with the next import.
  const useful = pruneBundle(theirs, now);
  if (ours === undefined) return { ...useful, sequenceNumber: theirs.sequenceNumber };
  const appended = appendToBundle(ours, useful);
  const tainted = taintedLike(appended, useful);
  const refreshHintSeconds = ours.refreshHintSeconds ?? theirs.refreshHintSeconds;
  const isSame = tainted === ours && refreshHintSeconds === ours.refreshHintSeconds;
  if (isSame && ours.sequenceNumber >= theirs.sequenceNumber) return ours;
  const next = isSame ? ours.sequenceNumber : ours.sequenceNumber + 1;
  return { ...tainted, refreshHintSeconds, sequenceNumber: Math.max(next, theirs.sequenceNumber) };
}

/** Never pardons: what is tainted on either side stays so. */
function taintedLike(bundle: TrustBundle, theirs: TrustBundle): TrustBundle {
  const certificates = new Set(
    theirs.x509Authorities
      .filter(({ isTainted }) => isTainted)
      .map(({ certificate }) => certificate.toString('base64')),
  );
  const keyIds = new Set(
    [...theirs.jwtAuthorities, ...theirs.witAuthorities]
      .filter(({ isTainted }) => isTainted)
      .map(({ keyId }) => keyId),
  );
  const isNewX509 = ({ certificate, isTainted }: X509Authority): boolean =>
    !isTainted && certificates.has(certificate.toString('base64'));
  const isNewToken = ({ keyId, isTainted }: TokenAuthority): boolean => !isTainted && keyIds.has(keyId);
  const isNew =
    bundle.x509Authorities.some(isNewX509) ||
    [...bundle.jwtAuthorities, ...bundle.witAuthorities].some(isNewToken);
  if (!isNew) return bundle;
  const taintToken = (one: TokenAuthority): TokenAuthority =>
    isNewToken(one) ? { ...one, isTainted: true } : one;
  return {
    ...bundle,
    x509Authorities: bundle.x509Authorities.map((one) =>
      isNewX509(one) ? { ...one, isTainted: true } : one,
    ),
    jwtAuthorities: bundle.jwtAuthorities.map(taintToken),
    witAuthorities: bundle.witAuthorities.map(taintToken),
  };
}
