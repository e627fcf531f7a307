import { expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { openStore } from './open-store.js';
it('opens', async () => {
  const store = await openStore({ path: ':memory:', log: silentLogger });
  expect(await store.currentRevision()).toBe(0);
  await store.write(async (tx) => {
    await tx.joinTokens.create({ token: 'a', expiresAt: new Date(), aliasId: undefined });
  });
  expect(await store.currentRevision()).toBe(1);
  expect(await store.changesSince(0, 10)).toEqual([{ revision: 1, changes: [] }]);
  await store.close();
});
