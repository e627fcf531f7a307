import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import type { AuthorityRecord } from '../store/authority-record.js';
import { openStore } from '../store/open-store.js';
import type { CommittedRevision, Store } from '../store/store.js';
import type { AuthorityByHand } from './authority-by-hand.js';
import { AuthorityRotation } from './authority-rotation.js';
import { MemoryKeyManager } from './memory-key-manager.js';

const trustDomain = parseTrustDomain('example.org');
const KINDS = ['x509', 'jwt', 'wit'] as const;
const WORDS = { x509: 'X.509', jwt: 'JWT', wit: 'WIT' } as const;

let clock: FakeClock;
let store: Store;
let keyManager: MemoryKeyManager;
let running: AbortController;
let rotation: AuthorityRotation;

async function restart(): Promise<void> {
  running.abort();
  running = new AbortController();
  rotation = new AuthorityRotation({
    ...{ trustDomain, store, keyManager, clock },
    log: silentLogger,
    keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
    ttlSeconds: 24 * 3600,
  });
  await rotation.start(running.signal);
}

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  keyManager = new MemoryKeyManager();
  running = new AbortController();
  await restart();
});
afterEach(async () => {
  running.abort();
  await store.close();
});

interface Published {
  readonly id: string;
  readonly isTainted: boolean;
}

/** Those of a kind in the bundle, in its order. */
async function published(kind: (typeof KINDS)[number]): Promise<readonly Published[]> {
  const bundle: TrustBundle | undefined = await store.bundles.get(trustDomain);
  if (bundle === undefined) throw new Error('there is no bundle');
  if (kind === 'x509') {
    return bundle.x509Authorities.map(({ certificate, isTainted }) => ({
      id: parseX509Certificate(certificate).subjectKeyId ?? '',
      isTainted,
    }));
  }
  const authorities = kind === 'jwt' ? bundle.jwtAuthorities : bundle.witAuthorities;
  return authorities.map(({ keyId, isTainted }) => ({ id: keyId, isTainted }));
}

function activeId(kind: (typeof KINDS)[number]): string {
  if (kind === 'x509') return rotation.activeX509().authorityId;
  return (kind === 'jwt' ? rotation.activeJwt() : rotation.activeWit()).keyId;
}

describe.each(KINDS)('%s authorities by hand', (kind) => {
  const byHand = (): AuthorityByHand<AuthorityRecord> => rotation[kind];

  /** @returns the one that signed before. */
  async function replaceActive(): Promise<string> {
    const before = activeId(kind);
    clock.jumpWallClock(1000); // authorities are told apart by the second in which they begin
    const {
      record: { authorityId },
    } = await byHand().prepare();
    await byHand().activate(authorityId);
    return before;
  }

  it('go through their whole life: prepared, active, old, tainted, revoked', async () => {
    const first = activeId(kind);
    expect(byHand().state()).toMatchObject({
      active: { authorityId: first },
      prepared: undefined,
      old: undefined,
    });

    const {
      record: { authorityId: second },
    } = await byHand().prepare();
    expect(byHand().state()).toMatchObject({
      active: { authorityId: first },
      prepared: { authorityId: second },
    });
    expect(await published(kind)).toEqual([
      { id: first, isTainted: false },
      { id: second, isTainted: false },
    ]);
    expect(activeId(kind)).toBe(first);

    expect(await byHand().activate(second)).toMatchObject({
      record: { authorityId: second, slot: 'active' },
    });
    expect(activeId(kind)).toBe(second);
    expect(byHand().state()).toMatchObject({ prepared: undefined, old: { authorityId: first } });

    await byHand().taint(first);
    expect(await published(kind)).toEqual([
      { id: first, isTainted: true },
      { id: second, isTainted: false },
    ]);
    expect(byHand().state().old).toMatchObject({ authorityId: first, isTainted: true });

    const revokedAt = clock.now().getTime();
    await byHand().revoke(first);
    expect(await published(kind)).toEqual([{ id: second, isTainted: false }]);
    expect(byHand().state().old).toBeUndefined();
    expect(await store.authorities.listRevoked()).toEqual([first]);

    await restart();
    expect(activeId(kind)).toBe(second);
    expect(await published(kind)).toEqual([{ id: second, isTainted: false }]);

    await waitFor('the revocation to be forgotten, once nobody could accept what was revoked', async () => {
      await clock.advance(12 * 3600 * 1000);
      return (await store.authorities.listRevoked()).length === 0;
    });
    expect(clock.now().getTime()).toBeGreaterThan(revokedAt + 2 * 24 * 3600 * 1000 - 60_000);
  });

  it('are tainted in record and bundle at one revision, which agents hear of', async () => {
    const old = await replaceActive();
    const heard: CommittedRevision[] = [];
    store.subscribe((committed) => void heard.push(committed));
    await byHand().taint(old);
    expect(heard).toHaveLength(1);
    expect(heard[0]?.changes).toEqual(
      expect.arrayContaining([
        { kind: 'authority', authorityId: old },
        { kind: 'bundle', trustDomain },
      ]),
    );
  });

  it('stay tainted over a restart and over a rotation', async () => {
    const old = await replaceActive();
    await byHand().taint(old);
    await restart();
    await rotation.rotate();
    expect(await published(kind)).toContainEqual({ id: old, isTainted: true });
    expect(byHand().state().old).toMatchObject({ authorityId: old, isTainted: true });
  });

  it('may be tainted and revoked however many of them are old', async () => {
    const oldest = await replaceActive();
    const older = await replaceActive();
    expect(byHand().state().old?.authorityId).toBe(older);
    await byHand().taint(oldest);
    await byHand().revoke(oldest);
    expect((await published(kind)).map(({ id }) => id)).toEqual([older, activeId(kind)]);
  });

  it('refuse what would leave SVIDs without an authority, with the words of SPIRE', async () => {
    const old = await replaceActive();
    const active = activeId(kind);
    const {
      record: { authorityId: prepared },
    } = await byHand().prepare();
    const before = await published(kind);
    const invalid = (message: string): object => ({ reason: 'invalid_argument', message });

    await expect(byHand().activate('')).rejects.toMatchObject(invalid('no authority ID provided'));
    await expect(byHand().activate('other')).rejects.toMatchObject(invalid('unexpected authority ID'));
    await expect(byHand().activate(active)).rejects.toMatchObject(invalid('unexpected authority ID'));
    await expect(byHand().activate(old)).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: 'only Prepared authorities can be activated',
    });

    const isCurrent = invalid('unable to taint current local authority');
    await expect(byHand().taint(active)).rejects.toMatchObject(isCurrent);
    const isNotOld = invalid('only Old local authorities can be tainted');
    await expect(byHand().taint(prepared)).rejects.toMatchObject(isNotOld);
    await expect(byHand().taint('other')).rejects.toMatchObject(invalid('unexpected authority ID'));

    const current = invalid('invalid authority ID: unable to use current authority');
    await expect(byHand().revoke(active)).rejects.toMatchObject(current);
    await expect(byHand().revoke(prepared)).rejects.toMatchObject({ reason: 'invalid_argument' });
    await expect(byHand().revoke('other')).rejects.toMatchObject({ reason: 'invalid_argument' });
    await expect(byHand().revoke(old)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringMatching(
        new RegExp(`^failed to revoke ${WORDS[kind]} authority: it is not possible to revoke an untainted`),
      ) as string,
    });
    expect(await published(kind)).toEqual(before);

    await byHand().taint(old);
    await expect(byHand().taint(old)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringMatching(
        new RegExp(`^failed to taint ${WORDS[kind]} authority: .* is already tainted$`),
      ) as string,
    });
  });

  it('prepared anew put the prepared one aside and keep it published', async () => {
    const {
      record: { authorityId: aside },
    } = await byHand().prepare();
    clock.jumpWallClock(1000);
    const {
      record: { authorityId: next },
    } = await byHand().prepare();
    expect(byHand().state()).toMatchObject({ prepared: { authorityId: next }, old: { authorityId: aside } });
    expect((await published(kind)).map(({ id }) => id)).toContain(aside);
    await expect(byHand().activate(aside)).rejects.toMatchObject({ reason: 'failed_precondition' });
  });

  it('take their turns: many wishes at once leave one active and one prepared', async () => {
    await Promise.all([byHand().prepare(), rotation.rotate(), byHand().prepare(), byHand().prepare()]);
    const records = (await store.authorities.list()).filter((record) => record.kind === kind);
    const count = (slot: string): number => records.filter((record) => record.slot === slot).length;
    expect([count('active'), count('prepared'), count('old')]).toEqual([1, 1, 2]);
    expect(await keyManager.listKeyIds()).toHaveLength(KINDS.length + 1);
  });
});

it('a key of a bundle that is not ours can be revoked once it is tainted', async () => {
  const foreign = { publicKey: Buffer.from([1]), keyId: 'sister', expiresAt: undefined, isTainted: true };
  await store.write(async (transaction) => {
    const bundle = await transaction.bundles.get(trustDomain);
    if (bundle === undefined) throw new Error('there is no bundle');
    await transaction.bundles.put({ ...bundle, jwtAuthorities: [...bundle.jwtAuthorities, foreign] });
  });
  await rotation.jwt.revoke('sister');
  expect((await published('jwt')).map(({ id }) => id)).toEqual([activeId('jwt')]);
});

it('whoever stands under an X.509 authority hears when one is tainted or revoked', async () => {
  let heard = 0;
  rotation.onRotation(() => (heard += 1));
  const first = activeId('x509');
  await rotation.x509.activate((await rotation.x509.prepare()).record.authorityId);
  expect(heard).toBe(1);
  await rotation.x509.taint(first);
  expect(heard).toBe(2);
  await rotation.x509.revoke(first);
  expect(heard).toBe(3);
});

it('without an upstream authority there is none to taint or revoke', async () => {
  const refused = { reason: 'failed_precondition', message: 'upstream authority is not configured' };
  await expect(rotation.upstream.taint('ab')).rejects.toMatchObject(refused);
  await expect(rotation.upstream.revoke('ab')).rejects.toMatchObject(refused);
});
