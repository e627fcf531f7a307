import { describe, expect, it } from 'vitest';
import { DATABASES, useStores } from './store-fixtures.js';

const hash = (digit: string): string => digit.repeat(64);

describe.each(DATABASES)('enrolled TPMs, on %s', (database) => {
  const stores = useStores(database);

  it('come back as they went in, page by page, in the order of their hashes', async () => {
    const store = await stores.open();
    const enrollments = ['c', 'a', 'b'].map((digit) => ({
      ekHash: hash(digit),
      note: digit === 'b' ? 'rack 7' : '',
      enrolledAt: new Date(1_900_000_000_123),
    }));
    await store.write(async ({ tpmEnrollments }) => {
      for (const enrollment of enrollments) await tpmEnrollments.create(enrollment);
    });
    const [third, first, second] = enrollments;
    const page = await store.tpmEnrollments.list({ size: 2, token: undefined });
    expect(page.items).toEqual([first, second]);
    const { items, nextPageToken } = await store.tpmEnrollments.list({ size: 2, token: page.nextPageToken });
    expect(items).toEqual([third]);
    expect(nextPageToken).toBeUndefined();
    expect(await store.tpmEnrollments.get(hash('b'))).toEqual(second);
    expect(await store.tpmEnrollments.get(hash('d'))).toBeUndefined();
  });

  it('are enrolled once, and removed once', async () => {
    const store = await stores.open();
    const enrollment = { ekHash: hash('a'), note: '', enrolledAt: new Date(1) };
    await store.write(({ tpmEnrollments }) => tpmEnrollments.create(enrollment));
    await expect(
      store.write(({ tpmEnrollments }) => tpmEnrollments.create(enrollment)),
    ).rejects.toMatchObject({ reason: 'already_exists' });
    await store.write(({ tpmEnrollments }) => tpmEnrollments.delete(hash('a')));
    await expect(store.write(({ tpmEnrollments }) => tpmEnrollments.delete(hash('a')))).rejects.toMatchObject(
      { reason: 'not_found' },
    );
  });
});
