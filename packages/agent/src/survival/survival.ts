/** When each workload of this node stops working if the server stays away from now on. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

export type StopCause = 'no_svid' | 'svid_expires' | 'bundle_expires' | 'token_expires';

export interface WorkloadSurvival {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  readonly svidExpiresAt: Date | undefined;
  /** When the last authority ends that verifies what peers present. */
  readonly bundleExpiresAt: Date | undefined;
  /** When the first of the tokens that are held is handed out no more. */
  readonly tokenExpiresAt: Date | undefined;
  readonly isInUse: boolean;
  readonly meetsTarget: boolean;
  /** Undefined: it does not work now. */
  readonly stopsAt: Date | undefined;
  readonly cause: StopCause;
}

/** What the agent holds for an entry. */
export interface HeldForEntry {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  readonly svid: X509Svid | undefined;
  readonly bundleExpiresAt: Date | undefined;
  readonly tokenExpiresAt: Date | undefined;
  readonly isInUse: boolean;
}

/** @param targetSeconds undefined: no target, which is always met by what works. */
export function survivalOf(
  held: HeldForEntry,
  now: Date,
  targetSeconds: number | undefined,
): WorkloadSurvival {
  const { entryId, spiffeId, bundleExpiresAt, isInUse, tokenExpiresAt } = held;
  const svidExpiresAt = held.svid?.notAfter;
  const base = { entryId, spiffeId, isInUse, svidExpiresAt, bundleExpiresAt, tokenExpiresAt };
  const [first] = ends(base, now);
  if (svidExpiresAt === undefined || svidExpiresAt <= now || first === undefined) {
    return { ...base, meetsTarget: false, stopsAt: undefined, cause: 'no_svid' };
  }
  const [firstOfX509 = first] = ends({ ...base, tokenExpiresAt: undefined }, now);
  const targetEnds = addSeconds(now, targetSeconds ?? 0);
  return { ...base, ...first, meetsTarget: firstOfX509.stopsAt >= targetEnds };
}

/** Those that fail first come first. */
export function compareSurvival(a: WorkloadSurvival, b: WorkloadSurvival): number {
  const byTime = (a.stopsAt?.getTime() ?? 0) - (b.stopsAt?.getTime() ?? 0);
  return byTime !== 0 ? byTime : a.spiffeId < b.spiffeId ? -1 : a.spiffeId > b.spiffeId ? 1 : 0;
}

interface End {
  readonly stopsAt: Date;
  readonly cause: StopCause;
}

/** The earliest first. */
function ends(
  {
    svidExpiresAt,
    bundleExpiresAt,
    tokenExpiresAt,
  }: Pick<WorkloadSurvival, 'svidExpiresAt' | 'bundleExpiresAt' | 'tokenExpiresAt'>,
  now: Date,
): readonly End[] {
  return [
    ...(svidExpiresAt === undefined ? [] : [{ stopsAt: svidExpiresAt, cause: 'svid_expires' } as const]),
    // A bundle that is not there verifies nobody now.
    { stopsAt: bundleExpiresAt ?? now, cause: 'bundle_expires' } as const,
    ...(tokenExpiresAt === undefined ? [] : [{ stopsAt: tokenExpiresAt, cause: 'token_expires' } as const]),
  ].toSorted((a, b) => a.stopsAt.getTime() - b.stopsAt.getTime());
}

/** When the last of its X.509 authorities ends; undefined when it has none. */
export function bundleEnd(bundle: TrustBundle | undefined): Date | undefined {
  let latest: Date | undefined;
  for (const { certificate } of bundle?.x509Authorities ?? []) {
    const { notAfter } = parseX509Certificate(certificate);
    if (latest === undefined || notAfter > latest) latest = notAfter;
  }
  return latest;
}
