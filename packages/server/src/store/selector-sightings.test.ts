import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it } from 'vitest';
import { exampleEntry, exampleTrustDomain } from './example-records.js';
import { DATABASES, useStores } from './store-fixtures.js';

const [one, two] = ['one', 'two'].map((name) => agentId(exampleTrustDomain('example.org'), 'x', name));

describe.each(DATABASES)('sightings of selectors, on %s', (database) => {
  const stores = useStores(database);

  it('are of the last time, take no revision, and go with the last entry that has the selector', async () => {
    if (one === undefined || two === undefined) throw new Error('there are two');
    const store = await stores.open();
    const { selectorSightings: sightings } = store;
    await store.write(({ entries }) =>
      entries.create(exampleEntry({ selectors: ['unix:uid:1'] }), { id: 'a', createdAt: new Date(0) }),
    );
    await sightings.note(['unix:uid:1', 'unix:uid:2', 'unix:uid:1'], one, new Date(2000));
    await sightings.note(['unix:uid:1'], two, new Date(1000));
    await sightings.note(['unix:uid:2'], two, new Date(3000));
    expect(await sightings.latest(['unix:uid:1', 'unix:uid:2', 'unix:uid:3'])).toEqual(
      expect.arrayContaining([
        { selector: 'unix:uid:1', agentId: one, seenAt: new Date(2000) },
        { selector: 'unix:uid:2', agentId: two, seenAt: new Date(3000) },
      ]),
    );
    await sightings.prune();
    expect((await sightings.latest(['unix:uid:1', 'unix:uid:2'])).map(({ selector }) => selector)).toEqual([
      'unix:uid:1',
    ]);
    expect(await store.currentRevision()).toBe(1);
  });
});
