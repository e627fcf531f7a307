/** Bundles, and whom bundles are fetched from. */
import type { FederationRelationship } from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { anchorId } from '../authority/upstream/trust-anchor.js';
import type { WriteTransaction } from '../store/store.js';
import { NOTHING, type Tally } from './import-report.js';
import { mergeOwnBundle } from './merge-own-bundle.js';
import { isSameBundle } from './same-records.js';
import type { SpireState } from './spire-state.js';

export interface BundleImportOptions {
  readonly transaction: Pick<WriteTransaction, 'bundles' | 'authorities' | 'federation' | 'entries'>;
  readonly state: Pick<SpireState, 'bundle' | 'federatedBundles' | 'relationships'>;
  readonly prune: boolean;
  readonly now: Date;
}

const ALL = { size: 0, token: undefined };

/** @returns also the trust domains whose bundle is there afterwards. */
export async function importBundles(
  options: BundleImportOptions,
): Promise<{ readonly tally: Tally; readonly trustDomains: ReadonlySet<TrustDomain> }> {
  const { transaction, state, now } = options;
  const { items } = await transaction.bundles.list(ALL);
  const ours = new Map(items.map((bundle) => [bundle.trustDomain, bundle]));
  const revoked = new Set(await transaction.authorities.listRevoked());
  const tally = { ...NOTHING };
  const put = async (after: TrustBundle): Promise<void> => {
    const before = ours.get(after.trustDomain);
    if (before !== undefined && isSameBundle(before, after)) tally.unchanged += 1;
    else {
      await transaction.bundles.put(after);
      if (before === undefined) tally.created += 1;
      else tally.updated += 1;
    }
  };
  const { bundle, federatedBundles } = state;
  await put(mergeOwnBundle(ours.get(bundle.trustDomain), withoutRevoked(bundle, revoked), now));
  for (const theirs of federatedBundles) {
    const present = ours.get(theirs.trustDomain);
    // Fetched here since, perhaps: whoever publishes it counts.
    const isNewerHere = present !== undefined && present.sequenceNumber > theirs.sequenceNumber;
    if (isNewerHere && !isSameBundle(present, theirs)) tally.newerHere += 1;
    else await put(theirs);
  }
  const known = new Set([bundle, ...federatedBundles].map(({ trustDomain }) => trustDomain));
  const onlyHere = [...ours.keys()].filter((trustDomain) => !known.has(trustDomain)).length;
  return { tally: { ...tally, onlyHere }, trustDomains: new Set([...known, ...ours.keys()]) };
}

/** After entries were pruned: one that an entry still names stays. */
export async function pruneBundles({ transaction, state }: BundleImportOptions): Promise<number> {
  const known = new Set([state.bundle, ...state.federatedBundles].map(({ trustDomain }) => trustDomain));
  const { items } = await transaction.bundles.list(ALL);
  let pruned = 0;
  for (const { trustDomain } of items) {
    if (known.has(trustDomain)) continue;
    const federatesWith = { named: [trustDomain], match: 'any' as const };
    if ((await transaction.entries.count({ federatesWith })) > 0) continue;
    await transaction.bundles.delete(trustDomain);
    pruned += 1;
  }
  return pruned;
}

export async function importRelationships({
  transaction,
  state,
  prune,
}: BundleImportOptions): Promise<Tally> {
  const { items } = await transaction.federation.list(ALL);
  const ours = new Map(items.map((relationship) => [relationship.trustDomain, relationship]));
  const tally = { ...NOTHING };
  for (const theirs of state.relationships) {
    const present = ours.get(theirs.trustDomain);
    ours.delete(theirs.trustDomain);
    if (present !== undefined && relationshipText(present) === relationshipText(theirs)) {
      tally.unchanged += 1;
      continue;
    }
    await transaction.federation.put(theirs);
    if (present === undefined) tally.created += 1;
    else tally.updated += 1;
  }
  if (!prune) return { ...tally, onlyHere: ours.size };
  for (const trustDomain of ours.keys()) await transaction.federation.delete(trustDomain);
  return { ...tally, pruned: ours.size };
}

export function relationshipText({
  trustDomain,
  endpoint: { url, profile },
}: FederationRelationship): string {
  return JSON.stringify([
    trustDomain,
    url,
    profile.kind,
    profile.kind === 'https_spiffe' ? profile.endpointId : '',
  ]);
}

/** What was revoked here is not published again because SPIRE still has it. */
function withoutRevoked(bundle: TrustBundle, revoked: ReadonlySet<string>): TrustBundle {
  if (revoked.size === 0) return bundle;
  return {
    ...bundle,
    x509Authorities: bundle.x509Authorities.filter((authority) => !revoked.has(anchorId(authority))),
    jwtAuthorities: bundle.jwtAuthorities.filter(({ keyId }) => !revoked.has(keyId)),
    witAuthorities: bundle.witAuthorities.filter(({ keyId }) => !revoked.has(keyId)),
  };
}
