import { afterEach, describe, expect, it, vi } from 'vitest';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { X509SvidIssuance } from '../issuance/issue-x509-svid.js';
import type { X509SvidIssuer } from '../issuance/x509-svid-request.js';
import { openStore } from '../store/open-store.js';
import { AuthorityRotation } from './authority-rotation.js';
import { MemoryKeyManager } from './memory-key-manager.js';
import { ServerSvid } from './server-svid.js';

const trustDomain = parseTrustDomain('example.org');
const HOUR_MS = 3600 * 1000;

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface World {
  readonly clock: FakeClock;
  readonly rotation: AuthorityRotation;
  readonly serverSvid: ServerSvid;
  readonly updates: X509Svid[];
  readonly setBroken: (isBroken: boolean) => void;
  /** Runs once, when the next SVID was issued and before it is handed over. */
  readonly whenIssued: (work: () => Promise<void>) => void;
}

async function start(): Promise<World> {
  const clock = new FakeClock();
  const store = await openStore({ path: ':memory:', log: silentLogger });
  const abort = new AbortController();
  open.push(async () => {
    abort.abort();
    await store.close();
  });
  const log = silentLogger;
  const keyManager = new MemoryKeyManager();
  const rotation = new AuthorityRotation({
    trustDomain,
    store,
    keyManager,
    clock,
    log,
    keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
    ttlSeconds: 24 * 3600,
  });
  await rotation.start(abort.signal);
  const issuance = new X509SvidIssuance({ trustDomain, authorities: rotation, clock });
  let isBroken = false;
  let meanwhile: (() => Promise<void>) | undefined;
  const issuer: X509SvidIssuer = {
    issue: async (request) => {
      if (isBroken) throw new BonafideError('unavailable', 'broken');
      const issued = await issuance.issue(request);
      const work = meanwhile;
      meanwhile = undefined;
      await work?.();
      return issued;
    },
  };
  const serverSvid = new ServerSvid({ trustDomain, issuer, rotation, clock, log, ttlSeconds: 3600 });
  const updates: X509Svid[] = [];
  serverSvid.onUpdate((svid) => updates.push(svid));
  expect(() => serverSvid.current()).toThrow('the server has no SVID yet');
  await serverSvid.start(abort.signal);
  return {
    ...{ clock, rotation, serverSvid, updates },
    setBroken: (value) => (isBroken = value),
    whenIssued: (work) => (meanwhile = work),
  };
}

describe('ServerSvid', () => {
  it('is the SVID of the server, with its key', async () => {
    const { clock, rotation, serverSvid } = await start();
    const { certificateChain, privateKey } = serverSvid.current();
    const authorities = [rotation.activeX509().certificate];
    const { spiffeId, leaf } = verifyX509Svid({ chain: certificateChain, authorities, now: clock.now() });
    expect(spiffeId).toBe('spiffe://example.org/spire/server');
    expect(leaf.publicKey.export({ format: 'jwk' })).toMatchObject({
      x: privateKey.export({ format: 'jwk' }).x,
    });
  });

  it('is renewed at half of its life, with a new key', async () => {
    const { clock, serverSvid, updates } = await start();
    const first = serverSvid.current();
    await clock.advance(HOUR_MS * 0.45);
    expect(serverSvid.current()).toBe(first);
    await clock.advance(HOUR_MS * 0.1);
    await vi.waitFor(
      () => {
        expect(serverSvid.current()).not.toBe(first);
      },
      { timeout: 30_000 },
    );
    expect(serverSvid.current().privateKey.equals(first.privateKey)).toBe(false);
    expect(updates).toEqual([first, serverSvid.current()]);
  });

  it('follows the authority at once', async () => {
    const { clock, rotation, serverSvid } = await start();
    const first = serverSvid.current();
    clock.jumpWallClock(20.5 * HOUR_MS);
    await rotation.rotate();
    await clock.advance(1);
    const authorities = [rotation.activeX509().certificate];
    await vi.waitFor(
      () => {
        expect(serverSvid.current()).not.toBe(first);
        expect(
          verifyX509Svid({ chain: serverSvid.current().certificateChain, authorities, now: clock.now() }),
        ).toBeDefined();
      },
      { timeout: 30_000 },
    );
  });

  it('follows the authority also when that changes during a renewal', async () => {
    const { clock, rotation, serverSvid, whenIssued } = await start();
    whenIssued(async () => {
      await rotation.x509.activate((await rotation.x509.prepare()).record.authorityId);
    });
    await clock.advance(HOUR_MS * 0.55);
    await vi.waitFor(
      async () => {
        await clock.advance(100);
        const authorities = [rotation.activeX509().certificate];
        const chain = serverSvid.current().certificateChain;
        expect(rotation.x509.state().old).toBeDefined();
        expect(verifyX509Svid({ chain, authorities, now: clock.now() })).toBeDefined();
      },
      { timeout: 30_000 },
    );
  });

  it('keeps what it has while nothing can be signed, and tries again', async () => {
    const { clock, serverSvid, setBroken } = await start();
    const first = serverSvid.current();
    setBroken(true);
    await clock.advance(HOUR_MS * 0.7);
    expect(serverSvid.current()).toBe(first);
    setBroken(false);
    await clock.advance(60_000);
    await vi.waitFor(
      () => {
        expect(serverSvid.current()).not.toBe(first);
      },
      { timeout: 30_000 },
    );
  });
});
