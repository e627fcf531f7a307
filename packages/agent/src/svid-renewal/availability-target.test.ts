import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleEntry } from '../svid-cache/cache-samples.js';
import { BatchRenewal } from './batch-renewal.js';
import type { Obtained, SvidHolder } from './svid-kind.js';

const HOUR_MS = 3600_000;
const TARGET_HOURS = 24;
const COUNT = 20;

interface TimedSvid {
  readonly spiffeId: SpiffeId;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

class HeldSvids implements SvidHolder<TimedSvid> {
  readonly svids = new Map<string, TimedSvid>();
  withdrawn = 0;

  svid(entryId: string): TimedSvid | undefined {
    return this.svids.get(entryId);
  }
  entriesWithSvid(condition: (svid: TimedSvid) => boolean): readonly string[] {
    return [...this.svids].flatMap(([id, svid]) => (condition(svid) ? [id] : []));
  }
  install(svids: ReadonlyMap<string, TimedSvid>): void {
    for (const [id, svid] of svids) this.svids.set(id, svid);
  }
  settle(): void {
    // Nobody waits.
  }
  withdraw(entryIds: readonly string[]): void {
    for (const id of entryIds) if (this.svids.delete(id)) this.withdrawn += 1;
  }
}

/** The same numbers each time, so that a failure can be looked at. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('the availability target', { timeout: 60_000 }, () => {
  let clock: FakeClock;
  let held: HeldSvids;
  let stopping: AbortController;
  let isServerAway: boolean;
  let signed: number;

  beforeEach(() => {
    clock = new FakeClock();
    held = new HeldSvids();
    stopping = new AbortController();
    isServerAway = false;
    signed = 0;
  });
  afterEach(() => {
    stopping.abort();
  });

  async function start(lifetimeHours: number): Promise<void> {
    const renewal = new BatchRenewal<TimedSvid>({
      kind: {
        name: 'X509-SVID',
        holder: held,
        contentKey: ({ id }) => id,
        validityOf: (svid) => svid,
        isTainted: () => false,
        obtain: (entries) => {
          if (isServerAway) return Promise.reject(new BonafideError('unavailable', 'nobody there'));
          signed += entries.length;
          return Promise.resolve(entries.map((entry) => issue(entry, lifetimeHours)));
        },
        keeping: undefined,
      },
      policy: { availabilityTargetSeconds: TARGET_HOURS * 3600, random: seeded(7) },
      clock,
      log: silentLogger,
    });
    for (let index = 0; index < COUNT; index += 1) renewal.need(sampleEntry(`web-${index}`, ['unix:uid:1']));
    void renewal.runSigning(stopping.signal);
    void renewal.runExpiry(stopping.signal);
    await clock.advance(1_000);
    expect(held.svids.size).toBe(COUNT);
  }

  function issue({ spiffeId }: RegistrationEntry, lifetimeHours: number): Obtained<TimedSvid> {
    const now = clock.now();
    const svid = { spiffeId, notBefore: now, notAfter: addSeconds(now, lifetimeHours * 3600) };
    return { kind: 'svid', svid };
  }

  const leastHoursLeft = (): number =>
    Math.min(
      ...Array.from(held.svids.values(), ({ notAfter }) => notAfter.getTime() - clock.now().getTime()),
    ) / HOUR_MS;

  it('is left to every SVID at any moment, for no more renewals than it takes', async () => {
    await start(48);
    for (let hour = 0; hour < 10 * 24; hour += 1) {
      await clock.advance(HOUR_MS);
      expect(leastHoursLeft()).toBeGreaterThanOrEqual(TARGET_HOURS);
    }
    // Each of them lives for a day until it is replaced.
    expect(signed).toBeLessThanOrEqual(COUNT * 11);
  });

  it.each([0, 5, 11, 19, 23, 24])('is outlasted when the server goes away after %i hours', async (hours) => {
    await start(48);
    await clock.advance(hours * HOUR_MS);
    isServerAway = true;
    const before = signed;
    for (let hour = 0; hour < TARGET_HOURS; hour += 1) await clock.advance(HOUR_MS);
    expect([held.withdrawn, held.svids.size]).toEqual([0, COUNT]);
    isServerAway = false;
    await clock.advance(60_000);
    expect(signed).toBeGreaterThan(before);
    expect(leastHoursLeft()).toBeGreaterThanOrEqual(TARGET_HOURS);
  });

  it('cannot be kept by SVIDs that are too short for it, which are renewed at half life', async () => {
    await start(36);
    await clock.advance(16 * HOUR_MS);
    isServerAway = true;
    for (let hour = 0; hour < TARGET_HOURS; hour += 1) await clock.advance(HOUR_MS);
    expect(held.withdrawn).toBe(COUNT);
  });
});
