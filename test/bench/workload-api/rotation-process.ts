/** A process with an agent's SVID cache, renewal and files, all of whose SVIDs are replaced again and again while its event loop is watched. */
import { SvidCache } from '@bonafide/agent/svid-cache/svid-cache';
import { sampleEntry, TRUST_DOMAIN } from '@bonafide/agent/svid-cache/cache-samples';
import { prepareRequests } from '@bonafide/agent/svid-renewal/signing-batch';
import { SvidFiles } from '@bonafide/agent/svid-renewal/svid-files';
import { SvidRenewal } from '@bonafide/agent/svid-renewal/svid-renewal';
import { newlyTainted } from '@bonafide/agent/svid-renewal/tainted-svids';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { loopStallsOf, type LoopStalls } from '../measuring/loop-stalls.js';
import { ForkedSigner } from './forked-signer.js';

/** Sent once, when all is done. */
export interface RotationMeasured {
  readonly rotations: readonly LoopStalls[];
  /** As many keys and CSRs, and nothing else. */
  readonly preparations: readonly LoopStalls[];
}

const KEY_TYPE = 'ec-p256';

process.on('disconnect', () => process.exit());
const [, , directory = '', svids = '', rounds = ''] = process.argv;
const entries = Array.from({ length: Number(svids) }, (_, index) =>
  sampleEntry(`w${index}`, [`unix:uid:${index}`]),
);
const common = { clock: systemClock, log: silentLogger };
using signer = new ForkedSigner(TRUST_DOMAIN);
const cache = new SvidCache({ ...common, trustDomain: TRUST_DOMAIN, maximumSvids: entries.length });
const files = new SvidFiles({ ...common, directory });
const renewal = new SvidRenewal({
  ...common,
  cache,
  signer,
  keeping: files,
  keyType: KEY_TYPE,
  policy: { availabilityTargetSeconds: undefined, random: Math.random },
});
/** What the caller of each entry was given last. */
const held = new Map<string, X509Svid>();
let onReplaced = (): void => undefined;
process.send?.(await measure());

async function measure(): Promise<RotationMeasured> {
  await files.load(systemClock.now());
  let bundle = bundleOf(await signer.replaceAuthority(), undefined);
  cache.apply({ kind: 'snapshot', entries, bundles: [bundle] });
  cache.connect(renewal);
  const first = allReplaced();
  for (const { selectors } of entries) {
    cache.subscribe(selectors, ({ identities }) => {
      for (const { entry, svid } of identities) {
        if (held.get(entry.id) === svid) continue; // only the bundle is another
        held.set(entry.id, svid);
        onReplaced();
      }
    });
  }
  void renewal.runSigning(new AbortController().signal);
  await first;
  const rotations: LoopStalls[] = [];
  const preparations: LoopStalls[] = [];
  for (let round = 0; round < Number(rounds); round += 1) {
    await files.flush();
    preparations.push(await loopStallsOf(() => prepareRequests(entries, KEY_TYPE)));
    const next = bundleOf(await signer.replaceAuthority(), bundle);
    const before = bundle;
    bundle = next;
    rotations.push(
      await loopStallsOf(async () => {
        const replaced = allReplaced();
        cache.apply({
          kind: 'delta',
          upsertedEntries: [],
          removedEntryIds: [],
          upsertedBundles: [next],
          removedBundleTrustDomains: [],
        });
        const count = await renewal.replaceSignedBy(newlyTainted(before, next));
        if (count !== entries.length) throw new Error(`${count} of ${entries.length} SVIDs are replaced`);
        await replaced;
      }),
    );
  }
  await files.flush();
  return { rotations, preparations };
}

/** The server's bundle once another authority has taken the place of one that may have been stolen. */
function bundleOf(certificate: Buffer, before: TrustBundle | undefined): TrustBundle {
  const [tainted] = before?.x509Authorities ?? [];
  return {
    trustDomain: TRUST_DOMAIN,
    x509Authorities: [
      { certificate, isTainted: false },
      ...(tainted === undefined ? [] : [{ ...tainted, isTainted: true }]),
    ],
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: (before?.sequenceNumber ?? 0) + 1,
  };
}

/** Resolves once the caller of each entry has been given another SVID. */
function allReplaced(): Promise<void> {
  let missing = entries.length;
  return new Promise((resolve) => {
    onReplaced = () => {
      if ((missing -= 1) === 0) resolve();
    };
  });
}
