/** Keeps what the authority above us publishes in our own bundle, and leaves an authority of ours that it has withdrawn. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AuthorityRecord, X509AuthorityRecord } from '../store/authority-record.js';
import type { Store } from '../store/store.js';
import {
  followUpstreamBundle,
  x509Key,
  type UpstreamBundle,
} from '../trust-bundle/follow-upstream-bundle.js';
import { emptyBundle } from '../trust-bundle/merge-bundle.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import type { AuthoritySlots } from './authority-slots.js';
import type { RotationLoop } from './rotation-loop.js';
import { taintUnder } from './upstream-by-hand.js';
import { anchorId, isAnchorRevoked } from './upstream/trust-anchor.js';
import type { UpstreamAuthority, UpstreamContent } from './upstream/upstream-authority.js';

export interface UpstreamFollowerOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly log: Logger;
  readonly upstream: UpstreamAuthority;
  readonly slots: AuthoritySlots<X509AuthorityRecord>;
  readonly loop: RotationLoop<X509AuthorityRecord>;
  /** Called after an authority above us was tainted. */
  readonly onWithdrawal: () => void;
}

export class UpstreamFollower {
  readonly #options: UpstreamFollowerOptions;
  /** What it published when it last told us; undefined after a start. */
  #before: UpstreamBundle | undefined;

  constructor(options: UpstreamFollowerOptions) {
    this.#options = options;
  }

  /** Resolves when the signal has fired. */
  async run(signal: AbortSignal): Promise<void> {
    const { upstream, log } = this.#options;
    try {
      await upstream.follow((content) => this.apply(content), signal);
    } catch (error) {
      if (signal.aborted) return;
      const name = `the ${upstream.name} upstream authority`;
      log.error({ err: error }, `${name} cannot be followed any more: ${errorMessage(error)}`);
    }
  }

  /** @throws BonafideError `failed_precondition` for a bundle without roots: nothing could be verified by it, and the last one is kept. */
  async apply(content: UpstreamContent): Promise<void> {
    const { trustDomain, store, slots, loop, onWithdrawal, log } = this.#options;
    if (content.x509Roots.length === 0) {
      throw new BonafideError('failed_precondition', 'the upstream authority publishes no X.509 authorities');
    }
    const tainted = await loop.take(async () => {
      const bundle = (await store.bundles.get(trustDomain)) ?? emptyBundle(trustDomain);
      const before = this.#before ?? this.#beforeTheStart(bundle);
      const signing = (await store.authorities.list()).filter(({ slot }) => slot !== 'old');
      const now = withNeeded(await this.#unrevoked(content), before, signing);
      const change = { before, now, kept: tokenIdsOf(signing) };
      const follow = (bundle: TrustBundle): TrustBundle => followUpstreamBundle(bundle, change);
      const newlyTainted = taintedSince(bundle, follow(bundle));
      if (follow(bundle) !== bundle) {
        await slots.write(async (transaction) => {
          await editOwnBundle(transaction, trustDomain, follow);
          await taintUnder(transaction, slots, newlyTainted);
        });
      }
      this.#before = now;
      return newlyTainted;
    });
    if (tainted.size > 0) {
      log.warn(
        { subject_key_ids: [...tainted].join(',') },
        'the upstream authority has withdrawn authorities of its own',
      );
    }
    const isLeft = slots.rotationState().active?.isUsable ?? true;
    if (tainted.size === 0 && isLeft) return;
    await loop.rotate(); // what it throws brings the content back here, until ours stands under another root
    onWithdrawal();
  }

  async #unrevoked(content: UpstreamContent): Promise<UpstreamBundle> {
    const revoked = new Set(await this.#options.store.authorities.listRevoked());
    const tokens = (list: 'jwtAuthorities' | 'witAuthorities'): UpstreamBundle['jwtAuthorities'] =>
      (content[list] ?? this.#before?.[list] ?? []).filter(({ keyId }) => !revoked.has(keyId));
    return {
      x509Authorities: content.x509Roots.filter((root) => !isAnchorRevoked(root, revoked)),
      jwtAuthorities: tokens('jwtAuthorities'),
      witAuthorities: tokens('witAuthorities'),
    };
  }

  /** The roots that authorities of ours stand under: whatever else is in the bundle may have come from elsewhere. */
  #beforeTheStart(bundle: TrustBundle): UpstreamBundle {
    const { slots } = this.#options;
    const records = [...slots.in('active'), ...slots.in('prepared'), ...slots.in('old')];
    const above = new Set(records.map(({ upstreamAuthorityId }) => upstreamAuthorityId));
    const x509Authorities = bundle.x509Authorities.filter((root) => above.has(anchorId(root)));
    return { x509Authorities, jwtAuthorities: [], witAuthorities: [] };
  }
}

/**
 * A root that was taken back while an authority stands under it, of ours or of another server, is tainted first: SVIDs move away from it
 * before it is gone.
 */
function withNeeded(
  now: UpstreamBundle,
  before: UpstreamBundle,
  signing: readonly AuthorityRecord[],
): UpstreamBundle {
  const published = new Set(now.x509Authorities.map(x509Key));
  const above = new Set(
    signing.map((record) => (record.kind === 'x509' ? record.upstreamAuthorityId : undefined)),
  );
  const needed = before.x509Authorities.filter(
    (root) => !published.has(x509Key(root)) && above.has(anchorId(root)),
  );
  const withdrawn = needed.map((root): X509Authority => ({ ...root, isTainted: true }));
  return { ...now, x509Authorities: [...now.x509Authorities, ...withdrawn] };
}

/** Keys that sign, here or on another server, are believed even before the upstream authority has heard of them. */
function tokenIdsOf(signing: readonly AuthorityRecord[]): ReadonlySet<string> {
  return new Set(signing.filter(({ kind }) => kind !== 'x509').map(({ authorityId }) => authorityId));
}

function taintedSince(before: TrustBundle, after: TrustBundle): ReadonlySet<string> {
  const idsOf = ({ x509Authorities }: TrustBundle): readonly string[] =>
    x509Authorities.filter(({ isTainted }) => isTainted).map(anchorId);
  const known = new Set(idsOf(before));
  return new Set(idsOf(after).filter((id) => !known.has(id)));
}
