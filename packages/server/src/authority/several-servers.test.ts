import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import { AuthorityRotation } from './authority-rotation.js';
import { MemoryKeyManager } from './memory-key-manager.js';

const trustDomain = parseTrustDomain('example.org');
const KINDS = ['x509', 'jwt', 'wit'] as const;
const DAY_MS = 24 * 3600 * 1000;

/** One database as another server sees it. */
function asServer(store: Store, serverId: string): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'serverId') return serverId;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

let clock: FakeClock;
let store: Store;
let running: AbortController;
let a: AuthorityRotation;
let b: AuthorityRotation;
let stopB: AbortController;

async function start(serverId: string, signal: AbortSignal): Promise<AuthorityRotation> {
  const rotation = new AuthorityRotation({
    ...{ trustDomain, store: asServer(store, serverId), keyManager: new MemoryKeyManager(), clock },
    log: silentLogger,
    keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
    ttlSeconds: DAY_MS / 1000,
  });
  await rotation.start(signal);
  return rotation;
}

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  running = new AbortController();
  stopB = new AbortController();
  a = await start('server-a', running.signal);
  b = await start('server-b', stopB.signal);
});

afterEach(async () => {
  running.abort();
  stopB.abort();
  await store.close();
});

async function bundle(): Promise<TrustBundle> {
  const held = await store.bundles.get(trustDomain);
  if (held === undefined) throw new Error('there is no bundle');
  return held;
}

function x509Ids({ x509Authorities }: TrustBundle): readonly (string | undefined)[] {
  return x509Authorities.map(({ certificate }) => parseX509Certificate(certificate).subjectKeyId);
}

describe('two servers on one database', () => {
  it('sign each under authorities of their own, all of them published', async () => {
    expect(x509Ids(await bundle())).toEqual([a.activeX509().authorityId, b.activeX509().authorityId]);
    expect((await bundle()).jwtAuthorities.map(({ keyId }) => keyId)).toEqual([
      a.activeJwt().keyId,
      b.activeJwt().keyId,
    ]);
    expect((await bundle()).witAuthorities).toHaveLength(2);
    expect((await bundle()).sequenceNumber).toBe(6);
  });

  it.each(KINDS)('say whose the %s authority is that an operator asks the wrong server for', async (kind) => {
    const theirs = b[kind].state().active.authorityId;
    const where = /it is one of the server with the ID server-b; run this command there/;
    await expect(a[kind].taint(theirs)).rejects.toThrow(where);
    await expect(a[kind].activate(theirs)).rejects.toThrow(where);
    await expect(a[kind].revoke(theirs)).rejects.toThrow(kind === 'x509' ? where : /not tainted|untainted/);
    await expect(a[kind].taint('nobody')).rejects.toThrow(/^unexpected authority ID$/);
  });

  it('notice that the other one revoked a key of theirs', async () => {
    const first = b.activeJwt().keyId;
    await b.jwt.activate((await b.jwt.prepare()).record.authorityId);
    await b.jwt.taint(first);
    await a.jwt.revoke(first);
    await vi.waitFor(
      () => {
        expect(b.jwt.state().old).toBeUndefined();
      },
      { timeout: 30_000 },
    );
    expect((await store.authorities.list()).map(({ authorityId }) => authorityId)).not.toContain(first);
  });

  it('remove what one that is gone for good left behind, once it has expired and not before', async () => {
    stopB.abort();
    const left = [b.activeX509().authorityId, b.activeJwt().keyId, b.activeWit().keyId];
    const recorded = async (): Promise<readonly string[]> =>
      (await store.authorities.list()).map(({ authorityId }) => authorityId);
    const restartA = async (): Promise<void> => {
      running.abort();
      running = new AbortController();
      a = await start('server-a', running.signal);
      await a.rotate();
    };
    clock.jumpWallClock(DAY_MS + DAY_MS / 2);
    await restartA();
    expect(await recorded()).toEqual(expect.arrayContaining(left));
    expect(x509Ids(await bundle())).toContain(left[0]);
    clock.jumpWallClock(DAY_MS);
    await restartA();
    for (const id of left) expect(await recorded()).not.toContain(id);
    expect(x509Ids(await bundle())).not.toContain(left[0]);
    expect((await bundle()).jwtAuthorities.map(({ keyId }) => keyId)).not.toContain(left[1]);
  });

  it('put back what signs when another one, or an old copy of the database, has lost it', async () => {
    const { authorityId } = b.activeX509();
    await store.write(async (transaction) => {
      await transaction.authorities.delete(authorityId);
      await editOwnBundle(transaction, trustDomain, (held) => ({
        ...held,
        x509Authorities: held.x509Authorities.slice(0, 1),
        sequenceNumber: held.sequenceNumber + 1,
      }));
    });
    await vi.waitFor(
      async () => {
        expect(x509Ids(await bundle())).toEqual([a.activeX509().authorityId, authorityId]);
      },
      { timeout: 30_000 },
    );
    expect(b.activeX509().authorityId).toBe(authorityId);
    expect((await store.authorities.list()).map((record) => record.authorityId)).toContain(authorityId);
  });

  it('leave an authority that is tainted in the bundle', async () => {
    const { authorityId } = b.activeX509();
    await store.write((transaction) =>
      editOwnBundle(transaction, trustDomain, (held) => ({
        ...held,
        x509Authorities: held.x509Authorities.map((authority, index) => ({
          ...authority,
          isTainted: index === 1,
        })),
        sequenceNumber: held.sequenceNumber + 1,
      })),
    );
    await vi.waitFor(
      () => {
        expect(b.activeX509().authorityId).not.toBe(authorityId);
      },
      { timeout: 30_000 },
    );
    expect(b.x509.state().old).toMatchObject({ authorityId, isTainted: true });
  });

  it('change the bundle together without losing anything', async () => {
    const before = (await bundle()).sequenceNumber;
    const prepared = await Promise.all([
      a.x509.prepare(),
      b.x509.prepare(),
      a.jwt.prepare(),
      b.jwt.prepare(),
    ]);
    const held = await bundle();
    expect(held.sequenceNumber).toBe(before + prepared.length);
    for (const {
      record: { authorityId, kind },
    } of prepared) {
      const ids = kind === 'x509' ? x509Ids(held) : held.jwtAuthorities.map(({ keyId }) => keyId);
      expect(ids).toContain(authorityId);
    }
  });
});
