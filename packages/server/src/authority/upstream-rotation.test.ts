import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TokenAuthority, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import {
  createCertificateSigningRequest,
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createIntermediateAuthority } from '@bonafide/shared/crypto/intermediate-authority';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner, type Signer } from '@bonafide/shared/crypto/signer';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, dateFromUnixSeconds, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { X509SvidIssuance } from '../issuance/issue-x509-svid.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { AuthorityRotation } from './authority-rotation.js';
import { MemoryKeyManager } from './memory-key-manager.js';
import type {
  MintedX509Authority,
  UpstreamAuthority,
  UpstreamContent,
  X509AuthorityRequest,
} from './upstream/upstream-authority.js';

const trustDomain = parseTrustDomain('example.org');
const HOUR_MS = 3600 * 1000;

interface Root {
  readonly signer: Signer;
  readonly certificate: Buffer;
  readonly id: string;
}

/** Really signs, with whichever root it was given last. */
class InProcessUpstream implements UpstreamAuthority {
  readonly name = 'in-process';
  roots: readonly Root[] = [];
  isAway = false;
  /** By their names. */
  readonly tainted = new Set<string>();
  /** In the place of the roots. */
  published: readonly X509Authority[] | undefined;
  minted = 0;
  jwtAuthorities: readonly TokenAuthority[] = [];
  witAuthorities: readonly TokenAuthority[] = [];
  tell: ((content: UpstreamContent) => Promise<void>) | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async addRoot(): Promise<Root> {
    const signer = createKeySigner(await generatePrivateKey('ec-p384'));
    const now = this.#clock.now();
    const certificate = await createSelfSignedAuthority({
      ...{ trustDomain, signer },
      notBefore: addSeconds(now, -60),
      notAfter: addSeconds(now, 365 * 24 * 3600),
      subject: { serialNumber: `${this.roots.length}` },
    });
    const root = { signer, certificate, id: parseX509Certificate(certificate).subjectKeyId ?? '' };
    this.roots = [...this.roots, root];
    return root;
  }

  authorities(): readonly X509Authority[] {
    if (this.published !== undefined) return this.published;
    return this.roots.map(({ certificate, id }) => ({ certificate, isTainted: this.tainted.has(id) }));
  }

  async mintX509Authority(request: X509AuthorityRequest): Promise<MintedX509Authority> {
    this.#refuseWhenAway();
    const root = this.roots.at(-1);
    if (root === undefined) throw new Error('there is no root');
    const now = this.#clock.now();
    const content = {
      trustDomain,
      csr: await verifyCertificateSigningRequest(parseCertificateSigningRequest(request.csr)),
      issuer: parseX509Certificate(root.certificate),
      signer: root.signer,
      notBefore: addSeconds(now, -10),
      notAfter: addSeconds(now, request.preferredTtlSeconds),
    };
    this.minted += 1;
    return {
      certificateChain: [await createIntermediateAuthority(content)],
      upstreamRoots: this.authorities(),
    };
  }

  publishJwtAuthority(authority: TokenAuthority): Promise<readonly TokenAuthority[]> {
    this.#refuseWhenAway();
    this.jwtAuthorities = [...this.jwtAuthorities, authority];
    return Promise.resolve(this.jwtAuthorities);
  }

  publishWitAuthority(authority: TokenAuthority): Promise<readonly TokenAuthority[]> {
    this.#refuseWhenAway();
    this.witAuthorities = [...this.witAuthorities, authority];
    return Promise.resolve(this.witAuthorities);
  }

  follow(listener: (content: UpstreamContent) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.tell = listener;
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
  }

  content(x509Roots = this.authorities()): UpstreamContent {
    const { jwtAuthorities, witAuthorities } = this;
    return { x509Roots, jwtAuthorities, witAuthorities };
  }

  #refuseWhenAway(): void {
    if (this.isAway) throw new BonafideError('unavailable', 'the upstream authority is away');
  }
}

let clock: FakeClock;
let store: Store;
let upstream: InProcessUpstream;
let root: Root;
let keyManager: MemoryKeyManager;
let running: AbortController;
let rotation: AuthorityRotation;

async function restart(): Promise<void> {
  running.abort();
  running = new AbortController();
  rotation = new AuthorityRotation({
    ...{ trustDomain, store, keyManager, clock, upstream },
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
  upstream = new InProcessUpstream(clock);
  root = await upstream.addRoot();
});
afterEach(async () => {
  running.abort();
  await store.close();
});

async function bundled(): Promise<readonly (readonly [id: string | undefined, isTainted: boolean])[]> {
  const bundle = await store.bundles.get(trustDomain);
  return (bundle?.x509Authorities ?? []).map(({ certificate, isTainted }) => [
    parseX509Certificate(certificate).subjectKeyId,
    isTainted,
  ]);
}

async function issue(): Promise<readonly Buffer[]> {
  const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
  const issuance = new X509SvidIssuance({ trustDomain, authorities: rotation, clock });
  const spiffeId = parseSpiffeId('spiffe://example.org/web');
  return (await issuance.issue({ csr, spiffeId, dnsNames: [], ttlSeconds: 3600 })).certificateChain;
}

/** By a root, as somebody who was given the bundle would. */
function verify(chain: readonly Buffer[], { certificate }: Root): string {
  return verifyX509Svid({ chain, authorities: [certificate], now: clock.now() }).spiffeId;
}

describe('an authority under an upstream authority', () => {
  it('publishes the root instead of itself, and SVIDs carry what leads there', async () => {
    await restart();
    expect(await bundled()).toEqual([[root.id, false]]);
    const chain = await issue();
    expect(chain).toHaveLength(2);
    expect(chain[1]).toEqual(rotation.activeX509().certificate);
    expect(verify(chain, root)).toBe('spiffe://example.org/web');
    expect(() => verify(chain.slice(0, 1), root)).toThrow();
    expect(rotation.x509.state().active.upstreamAuthorityId).toBe(root.id);
  });

  it('does not outlive its root', async () => {
    const end = addSeconds(dateFromUnixSeconds(unixSeconds(clock.now())), 600);
    const { signer } = root;
    const subject = { serialNumber: '0' };
    const validity = { notBefore: addSeconds(end, -3600), notAfter: end };
    const certificate = await createSelfSignedAuthority({ trustDomain, signer, ...validity, subject });
    upstream.published = [{ certificate, isTainted: false }];
    await restart();
    expect(rotation.activeX509().notAfter).toEqual(end);
    const [leaf = Buffer.alloc(0)] = await issue();
    expect(parseX509Certificate(leaf).notAfter <= end).toBe(true);
  });

  it('is found again by a restart, also while the upstream authority is away', async () => {
    await restart();
    const { authorityId } = rotation.activeX509();
    upstream.isAway = true;
    await restart();
    expect(rotation.activeX509().authorityId).toBe(authorityId);
    expect(upstream.minted).toBe(1);
  });

  it('fails to start when there is none and none can be signed, and leaves no keys behind', async () => {
    upstream.isAway = true;
    for (let crash = 0; crash < 3; crash += 1) {
      await expect(restart()).rejects.toThrow('the upstream authority is away');
    }
    expect(await keyManager.listKeyIds()).toEqual([]);
    upstream.isAway = false;
    await restart();
    expect(verify(await issue(), root)).toBe('spiffe://example.org/web');
  });

  it('keeps signing while its successor cannot be signed, and follows when it can', async () => {
    await restart();
    const { authorityId } = rotation.activeX509();
    upstream.isAway = true;
    clock.jumpWallClock(21 * HOUR_MS);
    await restart();
    expect(rotation.activeX509().authorityId).toBe(authorityId);
    expect(rotation.activeJwt().notAfter > clock.now()).toBe(true);
    upstream.isAway = false;
    await clock.advance(HOUR_MS / 4);
    await vi.waitFor(
      () => {
        expect(rotation.activeX509().authorityId).not.toBe(authorityId);
      },
      { timeout: 30_000 },
    );
  });

  it('does not hold up token authorities that need nobody above', async () => {
    await restart();
    const jwt = rotation.activeJwt().keyId;
    upstream.isAway = true;
    Object.assign(upstream, { publishJwtAuthority: undefined });
    clock.jumpWallClock(21 * HOUR_MS);
    await restart();
    expect(rotation.activeJwt().keyId).not.toBe(jwt);
  });

  it('publishes its token authorities through the one above, with what others published there', async () => {
    const sister = { publicKey: Buffer.from([1]), keyId: 'sister', expiresAt: undefined, isTainted: false };
    upstream.jwtAuthorities = [sister];
    await restart();
    const bundle = await store.bundles.get(trustDomain);
    const { keyId } = rotation.activeJwt();
    expect(upstream.jwtAuthorities.map((authority) => authority.keyId)).toEqual(['sister', keyId]);
    expect(bundle?.jwtAuthorities.map((authority) => authority.keyId).toSorted()).toEqual(
      ['sister', keyId].toSorted(),
    );
    expect(upstream.witAuthorities.map((authority) => authority.keyId)).toEqual([rotation.activeWit().keyId]);
  });
});

describe('what the upstream authority publishes', () => {
  beforeEach(restart);

  const tell = async (content: UpstreamContent): Promise<void> => {
    if (upstream.tell === undefined) throw new Error('nobody follows');
    await upstream.tell(content);
  };

  it('is added to the bundle, once, with its token authorities', async () => {
    const next = await upstream.addRoot();
    const sister = { publicKey: Buffer.from([1]), keyId: 'sister', expiresAt: undefined, isTainted: false };
    upstream.witAuthorities = [...upstream.witAuthorities, sister];
    await tell(upstream.content());
    const revision = await store.currentRevision();
    await tell(upstream.content());
    expect(await store.currentRevision()).toBe(revision);
    expect(await bundled()).toEqual([
      [root.id, false],
      [next.id, false],
    ]);
    const bundle = await store.bundles.get(trustDomain);
    expect(bundle?.witAuthorities.map(({ keyId }) => keyId)).toContain('sister');
    expect(bundle?.jwtAuthorities.map(({ keyId }) => keyId)).toEqual([rotation.activeJwt().keyId]);
  });

  it('disappears from the bundle when it is taken back, unless ours stands under it', async () => {
    await upstream.addRoot();
    const sister = { publicKey: Buffer.from([1]), keyId: 'sister', expiresAt: undefined, isTainted: false };
    upstream.jwtAuthorities = [...upstream.jwtAuthorities, sister];
    await tell(upstream.content());
    upstream.roots = [root];
    upstream.jwtAuthorities = [];
    await tell(upstream.content());
    expect(await bundled()).toEqual([[root.id, false]]);
    const bundle = await store.bundles.get(trustDomain);
    expect(bundle?.jwtAuthorities.map(({ keyId }) => keyId)).toEqual([rotation.activeJwt().keyId]);
  });

  it.each(['taints', 'takes back'])('makes us leave an authority whose root it %s', async (verb) => {
    await tell(upstream.content());
    let heard = 0;
    rotation.onRotation(() => (heard += 1));
    const before = rotation.activeX509().authorityId;
    const next = await upstream.addRoot();
    const [, newRoot] = upstream.authorities();
    if (newRoot === undefined) throw new Error('there is no new root');
    const old = { certificate: root.certificate, isTainted: true };
    if (verb === 'takes back') upstream.roots = [next];
    await tell(upstream.content(verb === 'taints' ? [old, newRoot] : [newRoot]));
    expect(rotation.activeX509().authorityId).not.toBe(before);
    expect(rotation.x509.state().active.upstreamAuthorityId).toBe(next.id);
    expect(verify(await issue(), next)).toBe('spiffe://example.org/web');
    expect(await bundled()).toEqual([
      [root.id, true],
      [next.id, false],
    ]);
    expect(heard).toBeGreaterThan(0);
    const minted = upstream.minted;
    await tell(upstream.content([newRoot]));
    expect(await bundled()).toEqual([[next.id, false]]);
    expect(upstream.minted).toBe(minted);
  });

  it('is taken back also when that happened while we were stopped', async () => {
    const operators = await upstream.addRoot();
    await store.write(async ({ bundles }) => {
      const bundle = await bundles.get(trustDomain);
      const x509Authorities = [root, operators].map(({ certificate }) => ({ certificate, isTainted: false }));
      if (bundle !== undefined) await bundles.put({ ...bundle, x509Authorities });
    });
    upstream.roots = [];
    const next = await upstream.addRoot();
    await restart();
    await tell(upstream.content());
    expect(rotation.x509.state().active.upstreamAuthorityId).toBe(next.id);
    expect(await bundled()).toEqual([
      [root.id, true],
      [operators.id, false],
      [next.id, false],
    ]);
    await restart();
    await tell(upstream.content());
    expect(await bundled()).toEqual([
      [operators.id, false],
      [next.id, false],
    ]);
  });

  it('makes us leave a tainted root as soon as it signs under another', async () => {
    const before = rotation.activeX509().authorityId;
    upstream.tainted.add(root.id);
    // It says that the root is tainted before it has moved away from it itself.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(tell(upstream.content())).rejects.toThrow('which was tainted');
      expect(rotation.activeX509().authorityId).toBe(before);
    }
    await expect(rotation.x509.prepare()).rejects.toMatchObject({ reason: 'failed_precondition' });
    const next = await upstream.addRoot();
    await tell(upstream.content());
    expect(rotation.x509.state().active.upstreamAuthorityId).toBe(next.id);
    expect(verify(await issue(), next)).toBe('spiffe://example.org/web');
  });

  it('may taint what ours is prepared under: then that is not put to use by hand either', async () => {
    const {
      record: { authorityId },
    } = await rotation.x509.prepare();
    await store.write(async ({ authorities }) => {
      const prepared = (await authorities.list()).find(({ slot }) => slot === 'prepared');
      if (prepared !== undefined) await authorities.put({ ...prepared, isTainted: true });
    });
    upstream.isAway = true;
    await restart();
    await expect(rotation.x509.activate(authorityId)).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
    expect(rotation.x509.state().active.authorityId).not.toBe(authorityId);
  });

  it('comes back neither by asking nor by publishing once an operator revoked it', async () => {
    const sister = { publicKey: Buffer.from([1]), keyId: 'sister', expiresAt: undefined, isTainted: true };
    upstream.jwtAuthorities = [...upstream.jwtAuthorities, sister];
    await tell(upstream.content());
    await rotation.jwt.revoke('sister');
    const {
      record: { authorityId },
    } = await rotation.jwt.prepare();
    const keyIds = [rotation.activeJwt().keyId, authorityId];
    for (const look of [1, 2]) {
      const bundle = await store.bundles.get(trustDomain);
      expect(bundle?.jwtAuthorities.map(({ keyId }) => keyId)).toEqual(keyIds);
      if (look === 1) await tell(upstream.content());
    }
  });

  it('is kept as it was when it has no roots at all', async () => {
    await expect(tell({ x509Roots: [] })).rejects.toMatchObject({ reason: 'failed_precondition' });
    expect(await bundled()).toEqual([[root.id, false]]);
  });
});

describe('an operator who withdraws a root', () => {
  beforeEach(restart);

  it('taints and revokes it after ours has moved to another, and it never comes back', async () => {
    const next = await upstream.addRoot();
    await rotation.x509.activate((await rotation.x509.prepare()).record.authorityId);
    expect(await rotation.upstream.taint(root.id.toUpperCase())).toMatchObject({ subjectKeyId: root.id });
    expect(await bundled()).toEqual([
      [root.id, true],
      [next.id, false],
    ]);
    expect(rotation.x509.state().old).toMatchObject({ isTainted: true });
    expect(await rotation.upstream.revoke(root.id)).toMatchObject({ subjectKeyId: root.id });
    expect(await bundled()).toEqual([[next.id, false]]);

    await upstream.tell?.(upstream.content());
    expect(await bundled()).toEqual([[next.id, false]]);
    await restart();
    await upstream.tell?.(upstream.content());
    await rotation.x509.prepare();
    expect(await bundled()).toEqual([[next.id, false]]);

    upstream.roots = [root];
    await expect(rotation.x509.prepare()).rejects.toThrow('which was revoked');
  });

  it('is refused while ours stands under it, with the words of SPIRE', async () => {
    const invalid = (message: string): object => ({ reason: 'invalid_argument', message });
    const words = 'provided subject key id is not valid';
    await expect(rotation.upstream.taint('')).rejects.toMatchObject(
      invalid(`${words}: no subject key ID provided`),
    );
    await expect(rotation.upstream.taint(root.id)).rejects.toMatchObject(
      invalid(`${words}: unable to use upstream authority signing current authority`),
    );
    await expect(rotation.upstream.taint('ab')).rejects.toMatchObject(
      invalid(`${words}: upstream authority didn't sign the old local authority`),
    );
    const next = await upstream.addRoot();
    const {
      record: { authorityId },
    } = await rotation.x509.prepare();
    await expect(rotation.upstream.taint(next.id)).rejects.toMatchObject(
      invalid(`${words}: only upstream authorities signing an old authority can be used`),
    );
    await rotation.x509.activate(authorityId);
    await expect(rotation.upstream.revoke(root.id)).rejects.toMatchObject({
      message: expect.stringContaining('it is not possible to revoke an untainted root CA') as string,
    });
    expect(await bundled()).toHaveLength(2);
  });

  it('is not offered to withdraw the authority below it', async () => {
    const old = rotation.activeX509().authorityId;
    await rotation.x509.activate((await rotation.x509.prepare()).record.authorityId);
    await expect(rotation.x509.taint(old)).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: "local authority can't be tainted if there is an upstream authority",
    });
    await expect(rotation.x509.revoke(old)).rejects.toMatchObject({ reason: 'failed_precondition' });
  });
});
