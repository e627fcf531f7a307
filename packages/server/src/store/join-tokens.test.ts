import { describe, expect, it } from 'vitest';
import { DATABASES, useStores } from './store-fixtures.js';

describe.each(DATABASES)('a join token, on %s', (database) => {
  const stores = useStores(database);

  it('is spent once, whoever races for it (invariant 2)', async () => {
    const store = await stores.open();
    const token = { token: 'f00dbeef-secret', expiresAt: new Date(1000), aliasId: undefined };
    await store.write(async ({ joinTokens }) => {
      await joinTokens.create(token);
      await expect(joinTokens.create(token)).rejects.toMatchObject({ reason: 'already_exists' });
    });
    const spent = await Promise.all(
      Array.from({ length: 20 }, () => store.write(({ joinTokens }) => joinTokens.spend(token.token))),
    );
    expect(spent.filter((found) => found !== undefined)).toEqual([token]);
  });

  it('is not spent when the transaction that spends it fails', async () => {
    const store = await stores.open();
    const token = { token: 'a', expiresAt: new Date(1000), aliasId: undefined };
    await store.write(({ joinTokens }) => joinTokens.create(token));
    await expect(
      store.write(async ({ joinTokens }) => {
        await joinTokens.spend('a');
        throw new Error('the CSR was bad');
      }),
    ).rejects.toThrow();
    expect(await store.write(({ joinTokens }) => joinTokens.spend('a'))).toEqual(token);
  });

  it('is removed once it has expired', async () => {
    const store = await stores.open();
    await store.write(async ({ joinTokens }) => {
      await joinTokens.create({ token: 'old', expiresAt: new Date(1000), aliasId: undefined });
      await joinTokens.create({ token: 'new', expiresAt: new Date(1001), aliasId: undefined });
      expect(await joinTokens.deleteExpired(new Date(1000))).toBe(1);
      expect(await joinTokens.spend('old')).toBeUndefined();
      expect(await joinTokens.spend('new')).toBeDefined();
    });
  });
});
