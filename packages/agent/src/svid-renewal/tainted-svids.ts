/** Which X.509-SVIDs stand under authorities that may have been stolen, and are therefore to be replaced at once. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { SvidCache } from '../svid-cache/svid-cache.js';

/** Certificates that are read in one turn of the event loop. */
const SLICE = 64;

/** Subject key identifiers of the authorities that `after` calls tainted and `before` did not, in hex. */
export function newlyTainted(
  before: TrustBundle | undefined,
  after: TrustBundle | undefined,
): ReadonlySet<string> {
  const known = taintedKeyIds(before);
  return new Set([...taintedKeyIds(after)].filter((keyId) => !known.has(keyId)));
}

/** Of the authorities that `before` had and `after` has not: nobody believes what they signed any more. */
export function withdrawnKeyIds(before: TrustBundle | undefined, after: TrustBundle): ReadonlySet<string> {
  const present = keyIdsOf(after.x509Authorities);
  return new Set([...keyIdsOf(before?.x509Authorities ?? [])].filter((keyId) => !present.has(keyId)));
}

/** Subject key identifiers of the tainted authorities, in hex. */
export function taintedKeyIds(bundle: TrustBundle | undefined): ReadonlySet<string> {
  return keyIdsOf((bundle?.x509Authorities ?? []).filter(({ isTainted }) => isTainted));
}

function keyIdsOf(authorities: TrustBundle['x509Authorities']): ReadonlySet<string> {
  return new Set(
    authorities.flatMap(({ certificate }) => parseX509Certificate(certificate).subjectKeyId ?? []),
  );
}

/** Whether the last certificate of the chain is signed by one of the authorities. */
export function isSignedBy(svid: X509Svid, subjectKeyIds: ReadonlySet<string>): boolean {
  const last = svid.certificateChain.at(-1);
  if (last === undefined || subjectKeyIds.size === 0) return false;
  const { authorityKeyId } = parseX509Certificate(last);
  return authorityKeyId !== undefined && subjectKeyIds.has(authorityKeyId);
}

/** Calls `replace` with the ids of the entries whose SVID is signed by one of the authorities, a few at a time. */
export async function replaceSignedBy(
  subjectKeyIds: ReadonlySet<string>,
  cache: Pick<SvidCache, 'entriesWithSvid' | 'svid'>,
  replace: (entryIds: readonly string[]) => void,
): Promise<number> {
  if (subjectKeyIds.size === 0) return 0;
  const ids = cache.entriesWithSvid(() => true);
  let count = 0;
  for (let start = 0; start < ids.length; start += SLICE) {
    const affected = ids.slice(start, start + SLICE).filter((id) => {
      const svid = cache.svid(id);
      return svid !== undefined && isSignedBy(svid, subjectKeyIds);
    });
    if (affected.length > 0) replace(affected);
    count += affected.length;
    await nextTurn();
  }
  return count;
}
