import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { sampleEntry } from '../svid-cache/cache-samples.js';
import type { AuthorizedChange } from '../svid-cache/authorized-change.js';
import { DepartedEntries } from './departed-entries.js';

const NO_BUNDLES = { upsertedBundles: [], removedBundleTrustDomains: [] };

function setUp(...ids: readonly string[]) {
  const clock = new FakeClock();
  const entries = ids.map((id) => sampleEntry(id, ['unix:uid:1']));
  const departed = new DepartedEntries({
    cache: { entry: (id) => entries.find((each) => each.id === id), entries: () => entries },
    clock,
  });
  const removing = (...removedEntryIds: readonly string[]): AuthorizedChange => {
    return { kind: 'delta', upsertedEntries: [], removedEntryIds, ...NO_BUNDLES };
  };
  return { clock, departed, entries, removing };
}

const idsOf = (departed: DepartedEntries) => departed.latest().map(({ entry }) => entry.id);

describe('DepartedEntries', () => {
  it('remembers what a delta removes, the latest first, and forgets what comes back', () => {
    const { departed, removing } = setUp('a', 'b', 'c');
    departed.note(removing('a'));
    departed.note(removing('b', 'unknown'));
    expect(idsOf(departed)).toEqual(['b', 'a']);
    departed.note({
      ...{ kind: 'delta', removedEntryIds: [], ...NO_BUNDLES },
      upsertedEntries: [sampleEntry('a', ['unix:uid:1'])],
    });
    expect(idsOf(departed)).toEqual(['b']);
  });

  it('remembers what a snapshot leaves out', () => {
    const { departed, entries, removing } = setUp('a', 'b', 'c');
    departed.note(removing('a'));
    departed.note({ kind: 'snapshot', entries: entries.filter(({ id }) => id === 'a'), bundles: [] });
    expect(idsOf(departed)).toEqual(['c', 'b']);
  });

  it('tells what ended by itself from what was taken away', () => {
    const clock = new FakeClock();
    const expired = sampleEntry('expired', ['unix:uid:1'], { expiresAt: clock.now() });
    const departed = new DepartedEntries({
      cache: { entry: () => expired, entries: () => [expired] },
      clock,
    });
    departed.note({ kind: 'delta', upsertedEntries: [], removedEntryIds: ['expired'], ...NO_BUNDLES });
    expect(departed.latest()).toMatchObject([{ hasExpired: true, departedAt: clock.now() }]);
  });

  it('remembers a thousand, and no more', () => {
    const ids = Array.from({ length: 1_200 }, (_, index) => `e${index}`);
    const { departed, removing } = setUp(...ids);
    departed.note(removing(...ids));
    expect(departed.latest()).toHaveLength(1_000);
    expect(idsOf(departed)[0]).toBe('e1199');
  });
});
