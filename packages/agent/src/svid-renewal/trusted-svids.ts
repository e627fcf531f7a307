/** Which SVIDs of an earlier run may be served: those of an entry's present SPIFFE ID, under an authority of its bundle. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { StoredSvid } from './svid-files.js';

interface TrustOptions {
  /** Holds the entries and bundles already. */
  readonly cache: Pick<SvidCache, 'entry' | 'bundle'>;
  readonly now: Date;
  readonly log: Logger;
}

/** Certificates that are verified in one turn of the event loop. */
const SLICE = 16;

/** The others are left out with a warning, as if they had never been kept. */
export async function trustedSvids(
  stored: readonly StoredSvid[],
  { cache, now, log }: TrustOptions,
): Promise<readonly StoredSvid[]> {
  const trusted: StoredSvid[] = [];
  for (const [index, item] of stored.entries()) {
    if (index % SLICE === SLICE - 1) await nextTurn();
    try {
      verify(item, cache, now);
      trusted.push(item);
    } catch (error) {
      log.warn(
        { entryId: item.entryId, spiffeId: item.svid.spiffeId },
        `ignoring a stored SVID, which will be fetched again: ${errorMessage(error)}`,
      );
    }
  }
  return trusted;
}

function verify({ entryId, svid }: StoredSvid, cache: TrustOptions['cache'], now: Date): void {
  const entry = cache.entry(entryId);
  if (entry === undefined) throw invalidArgument('its entry has gone');
  const bundle = cache.bundle(trustDomainOf(entry.spiffeId));
  const { spiffeId } = verifyX509Svid({
    chain: svid.certificateChain,
    authorities: bundle?.x509Authorities.map(({ certificate }) => certificate) ?? [],
    // One that begins in the future tells of a clock that was set back, which is for renewal to see to.
    now: svid.notBefore > now ? svid.notBefore : now,
  });
  if (spiffeId !== entry.spiffeId) throw invalidArgument(`its entry is now for ${entry.spiffeId}`);
}
