import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { PublishedKeys } from './published-keys.js';

let first: TokenAuthority;
let second: TokenAuthority;
let clock: FakeClock;
let published: PublishedKeys;

beforeAll(async () => {
  const publicKey = exportSpki(await generatePrivateKey('ec-p256'));
  first = { publicKey, keyId: 'first', expiresAt: undefined, isTainted: false };
  second = { ...first, keyId: 'second' };
});

beforeEach(() => {
  clock = new FakeClock();
  published = new PublishedKeys({ setKeyUse: false, clock, log: silentLogger });
});

function update(...keys: readonly TokenAuthority[]): Date | undefined {
  published.update({ keys, refreshHintSeconds: undefined });
  return published.current()?.changedAt;
}

it('dates a change when it comes, and the same keys as before', async () => {
  const before = update(first);
  expect(before).toEqual(clock.now());
  await clock.advance(60_000);
  expect(update(first)).toEqual(before);
  expect(update(first, second)).toEqual(clock.now());
});

it.each([0, 400, -3_600_000])(
  'dates a change later than the one before, by seconds that caches can tell apart (%i ms after it)',
  (ms) => {
    const before = update(first, second)?.getTime() ?? 0;
    clock.jumpWallClock(ms);
    const after = update(second)?.getTime() ?? 0;
    expect(Math.floor(after / 1000)).toBeGreaterThan(Math.floor(before / 1000));
  },
);

it('keeps what it has while the source fails, and says for how long it has', async () => {
  expect(published.failingMs()).toBe(0);
  await clock.advance(1_000);
  expect(published.failingMs()).toBe(1_000); // there never was an answer
  update(first);
  published.fail(new Error('away'));
  await clock.advance(5_000);
  published.fail(new Error('away'));
  expect(published.failingMs()).toBe(5_000);
  expect(published.current()?.count).toBe(1);
  update(first);
  expect(published.failingMs()).toBe(0);
});
