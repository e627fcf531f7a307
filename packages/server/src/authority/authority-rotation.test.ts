import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { openStore } from '../store/open-store.js';
import type { AuthorityKind, AuthorityRecord, AuthoritySlot } from '../store/authority-record.js';
import type { Store } from '../store/store.js';
import { AuthorityRotation } from './authority-rotation.js';
import type { KeyManager, Signer } from './key-manager.js';
import { MemoryKeyManager } from './memory-key-manager.js';

/** Days pass in these, timer by timer. */
vi.setConfig({ testTimeout: 120_000 });

const trustDomain = parseTrustDomain('example.org');
const HOUR_MS = 3600 * 1000;
const STEP_MS = HOUR_MS / 4;
const ttlSeconds = 24 * 3600;
/** Each has a timer of its own. */
const KINDS = ['x509', 'jwt', 'wit'] as const satisfies readonly AuthorityKind[];

interface World {
  readonly clock: FakeClock;
  readonly store: Store;
  readonly keyManager: KeyManager;
  /** Another run of the server on the same store, after the last one was stopped. */
  readonly restart: (keyManager?: KeyManager) => Promise<AuthorityRotation>;
  readonly slots: (
    kind?: AuthorityKind,
  ) => Promise<Readonly<Record<AuthoritySlot, readonly AuthorityRecord[]>>>;
  readonly bundle: () => Promise<TrustBundle>;
}

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function createWorld(keyManager: KeyManager = new MemoryKeyManager()): Promise<World> {
  const clock = new FakeClock();
  const store = await openStore({ path: ':memory:', log: silentLogger });
  let running = new AbortController();
  open.push(async () => {
    running.abort();
    await store.close();
  });
  return {
    clock,
    store,
    keyManager,
    restart: async (keys = keyManager) => {
      running.abort();
      running = new AbortController();
      const options = {
        trustDomain,
        store,
        keyManager: keys,
        clock,
        log: silentLogger,
        keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
        ttlSeconds,
      } as const;
      const rotation = new AuthorityRotation(options);
      await rotation.start(running.signal);
      return rotation;
    },
    slots: async (kind = 'x509') => {
      const records = await store.authorities.list();
      const of = (slot: AuthoritySlot): readonly AuthorityRecord[] =>
        records.filter((record) => record.kind === kind && record.slot === slot);
      return { prepared: of('prepared'), active: of('active'), old: of('old') };
    },
    bundle: async () => {
      const bundle = await store.bundles.get(trustDomain);
      if (bundle === undefined) throw new Error('there is no bundle');
      return bundle;
    },
  };
}

function certificateOf(record: AuthorityRecord | undefined): Buffer | undefined {
  return record?.kind === 'x509' ? record.certificateChain[0] : undefined;
}

/** The names by which the authorities of a kind are known in the bundle, in its order. */
function publishedIds(bundle: TrustBundle, kind: AuthorityKind): readonly string[] {
  if (kind === 'jwt') return bundle.jwtAuthorities.map(({ keyId }) => keyId);
  if (kind === 'wit') return bundle.witAuthorities.map(({ keyId }) => keyId);
  return bundle.x509Authorities.map(
    ({ certificate }) => parseX509Certificate(certificate).subjectKeyId ?? '',
  );
}

function activeOf(
  rotation: AuthorityRotation,
  kind: AuthorityKind,
): { id: string; notAfter: Date; signer: Signer } {
  if (kind === 'x509') {
    const { authorityId: id, notAfter, signer } = rotation.activeX509();
    return { id, notAfter, signer };
  }
  const { keyId: id, notAfter, signer } = kind === 'jwt' ? rotation.activeJwt() : rotation.activeWit();
  return { id, notAfter, signer };
}

/** In steps; after each, whatever the rotation began is finished: it has set its timer again. */
async function pass(clock: FakeClock, ms: number, stepMs = STEP_MS): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    await clock.advance(Math.min(left, stepMs));
    for (let turns = 0; clock.pendingTimers < KINDS.length; turns += 1) {
      if (turns > 100_000) throw new Error('the rotation has stopped');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

describe('AuthorityRotation', () => {
  it('has an authority that is active and published when it has started', async () => {
    const { restart, slots, bundle, clock } = await createWorld();
    const rotation = await restart();
    const active = rotation.activeX509();
    expect(active.notAfter).toEqual(new Date(clock.now().getTime() + ttlSeconds * 1000));
    expect((await bundle()).x509Authorities).toEqual([{ certificate: active.certificate, isTainted: false }]);
    expect((await slots()).active[0]).toMatchObject({
      authorityId: active.authorityId,
      certificateChain: [active.certificate],
    });
    const certificate = parseX509Certificate(active.certificate);
    expect(certificate).toMatchObject({
      isCa: true,
      spiffeId: 'spiffe://example.org',
      subjectKeyId: active.authorityId,
    });
  });

  it('refuses before it has started', async () => {
    const { store, clock } = await createWorld();
    const options = {
      trustDomain,
      store,
      keyManager: new MemoryKeyManager(),
      clock,
      log: silentLogger,
    } as const;
    const rotation = new AuthorityRotation({
      ...options,
      keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
      ttlSeconds,
    });
    expect(() => rotation.activeX509()).toThrow('no X.509 authority is active yet');
  });

  it('publishes the next authority long before it signs, and forgets the old one long after it expired', async () => {
    const { clock, restart, slots, bundle } = await createWorld();
    const rotation = await restart();
    const first = rotation.activeX509();
    const heard: string[] = [];
    rotation.onRotation(({ authorityId }) => heard.push(authorityId));
    const published = async (): Promise<readonly Buffer[]> =>
      (await bundle()).x509Authorities.map(({ certificate }) => certificate);

    await pass(clock, 11 * HOUR_MS);
    expect(await published()).toHaveLength(1);
    await pass(clock, 2 * HOUR_MS);
    const [next] = (await slots()).prepared;
    if (next === undefined) throw new Error('nothing was prepared');
    expect(await published()).toEqual([first.certificate, certificateOf(next)]);
    expect(rotation.activeX509()).toBe(first);
    expect(heard).toEqual([]);

    await pass(clock, 8 * HOUR_MS);
    expect(rotation.activeX509().authorityId).toBe(next.authorityId);
    expect(heard).toEqual([next.authorityId]);
    expect((await slots()).old.map(({ authorityId }) => authorityId)).toEqual([first.authorityId]);
    expect(await published()).toContainEqual(first.certificate);

    await pass(clock, 28 * HOUR_MS);
    expect(await published()).not.toContainEqual(first.certificate);
    expect((await slots()).old.map(({ authorityId }) => authorityId)).not.toContain(first.authorityId);
  });

  it('always has an authority that can sign, is published, and of which there are few, over days', async () => {
    const { clock, restart, bundle, slots, keyManager } = await createWorld();
    const rotation = await restart();
    const seen = new Set<string>();
    let sequenceNumber = 0;
    for (let hour = 0; hour < 4 * 24; hour += 3) {
      const active = rotation.activeX509();
      const now = await bundle();
      seen.add(active.authorityId);
      expect(now.x509Authorities.some(({ certificate }) => certificate.equals(active.certificate))).toBe(
        true,
      );
      expect(now.x509Authorities.length).toBeLessThanOrEqual(5);
      expect(now.sequenceNumber).toBeGreaterThanOrEqual(sequenceNumber);
      sequenceNumber = now.sequenceNumber;
      // Whoever signs for a sixth of the authority's life is not cut.
      expect(active.notAfter.getTime() - clock.now().getTime()).toBeGreaterThanOrEqual(3 * HOUR_MS);
      await pass(clock, 3 * HOUR_MS);
    }
    expect(seen.size).toBeGreaterThan(6);
    expect((await slots()).old.length).toBeLessThanOrEqual(4);
    expect((await keyManager.listKeyIds()).length).toBeLessThanOrEqual(2 * KINDS.length);
  });

  it('does in time what falls due soon after the start', async () => {
    const { clock, store, bundle } = await createWorld();
    const abort = new AbortController();
    const options = { trustDomain, store, keyManager: new MemoryKeyManager(), clock, log: silentLogger };
    await new AuthorityRotation({
      ...options,
      keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
      ttlSeconds: 20,
    }).start(abort.signal);
    await clock.advance(11_000); // at half of its life the next one is due
    await vi.waitFor(
      async () => {
        expect((await bundle()).x509Authorities).toHaveLength(2);
      },
      { timeout: 30_000 },
    );
    abort.abort();
  });

  it('stops when it is told to', async () => {
    const { clock, store } = await createWorld();
    const options = {
      trustDomain,
      store,
      keyManager: new MemoryKeyManager(),
      clock,
      log: silentLogger,
    } as const;
    const abort = new AbortController();
    await new AuthorityRotation({
      ...options,
      keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
      ttlSeconds,
    }).start(abort.signal);
    abort.abort();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe.each(['jwt', 'wit'] as const)('the %s authorities', (kind) => {
  it('sign under a name that is published with their key and that no other authority has', async () => {
    const { restart, bundle } = await createWorld();
    const rotation = await restart();
    const { id, signer, notAfter } = activeOf(rotation, kind);
    const { jwtAuthorities, witAuthorities } = await bundle();
    expect(kind === 'jwt' ? jwtAuthorities : witAuthorities).toEqual([
      { publicKey: exportSpki(signer.publicKey), keyId: id, expiresAt: notAfter, isTainted: false },
    ]);
    expect(id).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(new Set(KINDS.map((each) => activeOf(rotation, each).id)).size).toBe(KINDS.length);
  });

  it('are published long before they sign, and until what they signed has expired', async () => {
    const { clock, restart, bundle, slots } = await createWorld();
    const rotation = await restart();
    const first = activeOf(rotation, kind);
    await pass(clock, 13 * HOUR_MS);
    const [next] = (await slots(kind)).prepared;
    expect(publishedIds(await bundle(), kind)).toEqual([first.id, next?.authorityId]);
    expect(activeOf(rotation, kind).id).toBe(first.id);
    await pass(clock, 8 * HOUR_MS);
    expect(activeOf(rotation, kind).id).toBe(next?.authorityId);
    expect(publishedIds(await bundle(), kind)).toContain(first.id);
    await pass(clock, 28 * HOUR_MS);
    expect(publishedIds(await bundle(), kind)).not.toContain(first.id);
    expect((await slots(kind)).old.map(({ authorityId }) => authorityId)).not.toContain(first.id);
  });

  it('that live for a minute are as few after twenty as others after days', async () => {
    const { clock, store, bundle } = await createWorld();
    const abort = new AbortController();
    const options = { trustDomain, store, keyManager: new MemoryKeyManager(), clock, log: silentLogger };
    await new AuthorityRotation({
      ...options,
      keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
      ttlSeconds: 60,
    }).start(abort.signal);
    await pass(clock, HOUR_MS / 3, 5_000);
    expect(publishedIds(await bundle(), kind).length).toBeLessThanOrEqual(6);
    expect((await bundle()).sequenceNumber).toBeGreaterThan(50);
    abort.abort();
  });

  it('are replaced when their keys are lost, and stay published', async () => {
    const { restart, bundle } = await createWorld();
    const first = activeOf(await restart(), kind);
    const second = activeOf(await restart(new MemoryKeyManager()), kind);
    expect(publishedIds(await bundle(), kind)).toEqual([first.id, second.id]);
  });
});

describe('a restart', () => {
  it('finds the same authorities and mints nothing, however often', async () => {
    const { clock, restart, bundle, keyManager } = await createWorld();
    const rotation = await restart();
    const first = KINDS.map((kind) => activeOf(rotation, kind));
    await pass(clock, 13 * HOUR_MS);
    const before = await bundle();
    const keys = await keyManager.listKeyIds();
    for (let crash = 0; crash < 10; crash += 1) {
      const again = await restart();
      expect(KINDS.map((kind) => activeOf(again, kind))).toEqual(first);
    }
    expect(await bundle()).toEqual(before);
    expect(await keyManager.listKeyIds()).toEqual(keys);
  });

  it('catches up on what fell due in the meantime', async () => {
    const { clock, restart, bundle } = await createWorld();
    const first = (await restart()).activeX509();
    clock.jumpWallClock(21 * HOUR_MS);
    const rotation = await restart();
    expect(rotation.activeX509().authorityId).not.toBe(first.authorityId);
    expect((await bundle()).x509Authorities).toHaveLength(2);
  });

  it('without the keys makes a new authority, and keeps publishing the others until they expire', async () => {
    const { clock, restart, bundle, slots } = await createWorld();
    const first = (await restart()).activeX509();
    await pass(clock, 13 * HOUR_MS);
    const [prepared] = (await slots()).prepared;
    const second = (await restart(new MemoryKeyManager())).activeX509();
    expect(second.authorityId).not.toBe(first.authorityId);
    const { x509Authorities } = await bundle();
    expect(x509Authorities.map(({ certificate }) => certificate)).toEqual([
      first.certificate,
      certificateOf(prepared),
      second.certificate,
    ]);
    expect((await slots()).old.map(({ authorityId }) => authorityId)).toEqual([
      first.authorityId,
      prepared?.authorityId,
    ]);
  });

  it('keeps publishing a prepared authority that is too near its end to be put to use', async () => {
    const { clock, restart, bundle, slots } = await createWorld();
    await restart();
    await pass(clock, 13 * HOUR_MS);
    const [late] = (await slots()).prepared;
    clock.jumpWallClock(21 * HOUR_MS);
    const { certificate } = (await restart()).activeX509();
    const published = (await bundle()).x509Authorities.map((authority) => authority.certificate);
    expect(certificateOf(late)).not.toEqual(certificate);
    expect(published).toContainEqual(certificateOf(late));
    expect(published).toContainEqual(certificate);
  });

  it('removes keys that nobody knows, and no others', async () => {
    const { restart, keyManager } = await createWorld();
    await keyManager.generateKey('x509-ca-forgotten', 'ec-p256');
    await keyManager.generateKey('jwt-signer-forgotten', 'ec-p256');
    await keyManager.generateKey('wit-signer-forgotten', 'ec-p256');
    await keyManager.generateKey('somebody-elses', 'ec-p256');
    await restart();
    const keys = await keyManager.listKeyIds();
    expect(keys).not.toContain('x509-ca-forgotten');
    expect(keys).not.toContain('jwt-signer-forgotten');
    expect(keys).not.toContain('wit-signer-forgotten');
    expect(keys).toContain('somebody-elses');
    expect(keys).toHaveLength(1 + KINDS.length);
  });

  it('replaces an authority from the future after the clock was set back', async () => {
    const { clock, restart } = await createWorld();
    clock.jumpWallClock(1000 * HOUR_MS);
    const future = (await restart()).activeX509();
    clock.jumpWallClock(-1000 * HOUR_MS);
    const rotation = await restart();
    expect(rotation.activeX509().authorityId).not.toBe(future.authorityId);
    expect((await restart()).activeX509()).toEqual(rotation.activeX509());
  });
});

/** Dies, as a process does, at the n-th operation, and does nothing afterwards. */
class DyingKeyManager implements KeyManager {
  readonly #inner: KeyManager;
  #left: number;

  constructor(inner: KeyManager, operations: number) {
    this.#inner = inner;
    this.#left = operations;
  }

  async generateKey(keyId: string, keyType: KeyType): Promise<Signer> {
    this.#step();
    const signer = await this.#inner.generateKey(keyId, keyType);
    this.#step();
    return signer;
  }

  getSigner(keyId: string): Promise<Signer | undefined> {
    return this.#inner.getSigner(keyId);
  }

  listKeyIds(): Promise<readonly string[]> {
    return this.#inner.listKeyIds();
  }

  async deleteKey(keyId: string): Promise<void> {
    this.#step();
    await this.#inner.deleteKey(keyId);
  }

  #step(): void {
    this.#left -= 1;
    if (this.#left < 0) throw new Error('died');
  }
}

describe('dying at any moment of a rotation', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])(
    'after %i operations leaves what the next start can use',
    async (operations) => {
      const { clock, restart, bundle, slots, keyManager } = await createWorld();
      await restart();
      clock.jumpWallClock(21 * HOUR_MS);
      await restart(new DyingKeyManager(keyManager, operations)).catch((error: unknown) => {
        expect(String(error)).toContain('died');
      });
      const rotation = await restart();
      for (const kind of KINDS) {
        const active = activeOf(rotation, kind);
        expect(active.notAfter.getTime() - clock.now().getTime()).toBe(ttlSeconds * 1000);
        const published = publishedIds(await bundle(), kind);
        expect(published).toContain(active.id);
        expect(published).toHaveLength(2);
        const { active: activeSlots, old, prepared } = await slots(kind);
        expect([activeSlots.length, old.length, prepared.length]).toEqual([1, 1, 0]);
      }
      expect(await keyManager.listKeyIds()).toHaveLength(KINDS.length);
    },
  );

  it('keeps signing and tries again when the disk is full at the time of rotation', async () => {
    const inner = new MemoryKeyManager();
    let isFull = false;
    const keyManager: KeyManager = {
      generateKey: (keyId, keyType) =>
        isFull ? Promise.reject(new Error('disk full')) : inner.generateKey(keyId, keyType),
      getSigner: (keyId) => inner.getSigner(keyId),
      listKeyIds: () => inner.listKeyIds(),
      deleteKey: (keyId) => inner.deleteKey(keyId),
    };
    const { clock, restart } = await createWorld(keyManager);
    const rotation = await restart();
    const first = rotation.activeX509();
    isFull = true;
    await pass(clock, 22 * HOUR_MS);
    expect(rotation.activeX509()).toBe(first);
    isFull = false;
    await pass(clock, HOUR_MS);
    expect(rotation.activeX509().authorityId).not.toBe(first.authorityId);
    isFull = true;
    await pass(clock, 25 * HOUR_MS);
    expect(() => rotation.activeX509()).toThrow('the X.509 authority has expired');
  });
});
