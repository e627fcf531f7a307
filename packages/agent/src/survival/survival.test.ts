import { addSeconds } from '@bonafide/shared/runtime/clock';
import { describe, expect, it } from 'vitest';
import { sampleEntry, sampleSvid } from '../svid-cache/cache-samples.js';
import { compareSurvival, survivalOf, type HeldForEntry } from './survival.js';

const now = new Date('2030-01-01T00:00:00Z');
const after = (hours: number): Date => addSeconds(now, hours * 3600);
const DAY = 24 * 3600;

function held(svidHours: number | undefined, more: Partial<HeldForEntry> = {}): HeldForEntry {
  const entry = sampleEntry('web', ['unix:uid:1']);
  return {
    entryId: entry.id,
    spiffeId: entry.spiffeId,
    svid: svidHours === undefined ? undefined : sampleSvid(entry, after(svidHours)),
    bundleExpiresAt: after(1000),
    tokenExpiresAt: undefined,
    isInUse: true,
    ...more,
  };
}

describe('survivalOf', () => {
  it.each([
    ['its SVID', held(12), after(12), 'svid_expires'],
    ['the bundle', held(12, { bundleExpiresAt: after(3) }), after(3), 'bundle_expires'],
    ['a token', held(12, { tokenExpiresAt: after(0.05) }), after(0.05), 'token_expires'],
    ['an SVID that has ended', held(-1), undefined, 'no_svid'],
    ['an SVID that it never had', held(undefined, { tokenExpiresAt: after(1) }), undefined, 'no_svid'],
    ['a bundle that is not there', held(12, { bundleExpiresAt: undefined }), now, 'bundle_expires'],
  ])('stops a workload with %s', (_what, what, stopsAt, cause) => {
    expect(survivalOf(what, now, undefined)).toMatchObject({ stopsAt, cause });
  });

  it.each([
    [held(24), true],
    [held(23.9), false],
    [held(48, { bundleExpiresAt: after(23) }), false],
    // The target is one of X.509: tokens are never held as long.
    [held(48, { tokenExpiresAt: after(0.1) }), true],
    [held(undefined), false],
  ])('measures the availability target by what X.509 needs', (what, meetsTarget) => {
    expect(survivalOf(what, now, DAY).meetsTarget).toBe(meetsTarget);
  });

  it('puts first what fails first', () => {
    const all = [held(5), held(undefined), held(2, { tokenExpiresAt: after(1) }), held(3)];
    const causes = all.map((each) => survivalOf(each, now, undefined)).toSorted(compareSurvival);
    expect(causes.map(({ stopsAt }) => stopsAt)).toEqual([undefined, after(1), after(3), after(5)]);
  });
});
