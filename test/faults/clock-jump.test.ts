/** Somebody sets the clock, by an hour or a month, either way: what was due happens at once and once, nothing stale is served, nothing spins. */
import { AuthorityRotation } from '@bonafide/server/authority/authority-rotation';
import { MemoryKeyManager } from '@bonafide/server/authority/memory-key-manager';
import { ServerSvid } from '@bonafide/server/authority/server-svid';
import { X509SvidIssuance } from '@bonafide/server/issuance/issue-x509-svid';
import { AdmissionGate } from '@bonafide/server/node-admission/admission-gate';
import { AdmissionNotices } from '@bonafide/server/node-admission/admission-notices';
import { attestAgent } from '@bonafide/server/node-attestation/attest-agent';
import { createNodeAttestors } from '@bonafide/server/node-attestation/attestors';
import { createJoinToken } from '@bonafide/server/node-attestation/create-join-token';
import { NodeNotices } from '@bonafide/server/node-proof/node-notices';
import { openStore } from '@bonafide/server/store/open-store';
import { Metrics } from '@bonafide/server/telemetry/metrics';
import { sampleEntry, sampleBundle, TRUST_DOMAIN } from '@bonafide/agent/svid-cache/cache-samples';
import { SvidCache } from '@bonafide/agent/svid-cache/svid-cache';
import { SvidRenewal } from '@bonafide/agent/svid-renewal/svid-renewal';
import type { WorkloadUpdate } from '@bonafide/agent/svid-cache/workload-identities';
import type { SigningRequest, SigningResult } from '@bonafide/agent/svid-renewal/x509-svid-signer';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { parseSelector } from '@bonafide/shared/registration/selector';
import type { Timer } from '@bonafide/shared/runtime/clock';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const MONTH_MS = 30 * 24 * HOUR_MS;
/** A jump is noticed within this time; it is not announced. */
const NOTICE_MS = 31 * SECOND_MS;
const JUMPS = {
  'an hour ahead': HOUR_MS,
  'an hour back': -HOUR_MS,
  'a month ahead': MONTH_MS,
  'a month back': -MONTH_MS,
};

/** Counts the timers that were set: what waits and looks again sets a few a minute, what spins sets thousands. */
class CountingClock extends FakeClock {
  timers = 0;

  override schedule(delayMs: number, callback: () => void): Timer {
    this.timers += 1;
    return super.schedule(delayMs, callback);
  }

  /** Lets time pass in steps short enough for the work that falls due to come to its end in between. */
  async pass(ms: number, stepMs = 10 * SECOND_MS): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await this.advance(Math.min(left, stepMs));
      // Keys are made and certificates signed on the thread pool.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** The parts of a server that follow the clock. */
async function startServer(clock: CountingClock): Promise<{
  readonly store: Awaited<ReturnType<typeof openStore>>;
  readonly keyManager: MemoryKeyManager;
  readonly rotation: AuthorityRotation;
  readonly issuer: X509SvidIssuance;
  readonly serverSvid: ServerSvid;
  readonly counts: { rotations: number; renewals: number };
  readonly canSign: () => boolean;
  /** Whether those who trust this server would accept the chain now. @throws BonafideError saying why not. */
  readonly verify: (chain: readonly Buffer[]) => Promise<void>;
  readonly stop: () => Promise<void>;
}> {
  const abort = new AbortController();
  const store = await openStore({ path: ':memory:', log: silentLogger });
  const keyManager = new MemoryKeyManager();
  const common = { trustDomain: TRUST_DOMAIN, clock, log: silentLogger };
  const rotation = new AuthorityRotation({
    ...common,
    store,
    keyManager,
    keyTypes: { x509: 'ec-p256', jwt: 'ec-p256', wit: 'ec-p256' },
    ttlSeconds: (24 * HOUR_MS) / 1000,
  });
  await rotation.start(abort.signal);
  const issuer = new X509SvidIssuance({ ...common, authorities: rotation });
  const serverSvid = new ServerSvid({ ...common, rotation, issuer, ttlSeconds: HOUR_MS / 1000 });
  await serverSvid.start(abort.signal);
  const counts = { rotations: 0, renewals: 0 };
  rotation.onRotation(() => (counts.rotations += 1));
  serverSvid.onUpdate(() => (counts.renewals += 1));
  return {
    ...{ store, keyManager, rotation, issuer, serverSvid, counts },
    canSign() {
      try {
        return rotation.activeX509().notAfter > clock.now();
      } catch (error) {
        if (hasReason(error, 'unavailable')) return false;
        throw error;
      }
    },
    async verify(chain) {
      const bundle = await store.bundles.get(TRUST_DOMAIN);
      const authorities = bundle?.x509Authorities.map(({ certificate }) => certificate) ?? [];
      verifyX509Svid({ chain, authorities, now: clock.now() });
    },
    async stop() {
      abort.abort();
      await store.close();
    },
  };
}

describe('a server whose clock is set', () => {
  it.each(Object.entries(JUMPS))(
    '%s soon has an authority and an SVID that are valid, made once',
    async (_name, jumpMs) => {
      const clock = new CountingClock();
      const server = await startServer(clock);
      await clock.pass(MINUTE_MS);
      expect(server.counts).toEqual({ rotations: 0, renewals: 0 });

      clock.jumpWallClock(jumpMs);
      const timersBefore = clock.timers;
      await clock.pass(NOTICE_MS);
      // On a slow machine the work of one step may end after the next has begun; what it waits for then needs time that passes.
      await waitFor('the SVID to be renewed', async () => {
        await clock.pass(SECOND_MS, SECOND_MS);
        return server.counts.renewals > 0;
      });
      await server.verify(server.serverSvid.current().certificateChain);

      await clock.pass(10 * MINUTE_MS);
      expect(server.counts.rotations).toBeLessThanOrEqual(1);
      expect(server.counts.renewals).toBeLessThanOrEqual(2);
      expect(clock.timers - timersBefore).toBeLessThan(100);
      await server.stop();
    },
  );

  it('to and fro keeps few keys, and every authority published that may have signed what is still valid', async () => {
    const clock = new CountingClock();
    const server = await startServer(clock);
    for (let jump = 0; jump < 6; jump += 1) {
      clock.jumpWallClock(jump % 2 === 0 ? MONTH_MS : -MONTH_MS);
      await clock.pass(NOTICE_MS);
      await waitFor('an authority that is valid', async () => {
        await clock.pass(SECOND_MS, SECOND_MS);
        return server.canSign();
      });
    }
    const keyIds = await server.keyManager.listKeyIds();
    for (const kind of ['x509', 'jwt', 'wit'] as const) {
      const ofKind = keyIds.filter((keyId) => keyId.startsWith(kind));
      expect(ofKind.length).toBeGreaterThanOrEqual(1);
      expect(ofKind.length).toBeLessThanOrEqual(2);
    }
    expect((await server.store.bundles.get(TRUST_DOMAIN))?.x509Authorities.length).toBeLessThanOrEqual(7);
    await server.stop();
  });

  it('takes a join token until it expires by the clock of the moment, and does not spend one that it refuses', async () => {
    const clock = new CountingClock();
    const server = await startServer(clock);
    const options = { trustDomain: TRUST_DOMAIN, store: server.store, clock };
    const attestors = await createNodeAttestors(
      { join_token: {} },
      { ...options, log: silentLogger, signal: new AbortController().signal },
    );
    const attest = async (token: string): Promise<string> => {
      const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
      const challenge = (): Promise<Buffer> => Promise.reject(new Error('a join token needs no challenge'));
      const payload = Buffer.from(token);
      const attempt = { type: 'join_token', payload, csr, challenge, address: '127.0.0.1' };
      const { issuer } = server;
      const log = silentLogger;
      const audit = { record: () => Promise.resolve() };
      const metrics = new Metrics();
      const notices = new NodeNotices({ audit, metrics, log });
      const admission = new AdmissionGate({
        policy: { rules: [], approvalsNeeded: 1, expiresAfterSeconds: 60, deniedForSeconds: 60 },
        ...{ store: server.store, clock, webhook: undefined },
        notices: new AdmissionNotices({ audit, metrics, log }),
      });
      const all = { ...options, attestors, issuer, notices, admission, agentTtlSeconds: 3600 };
      return (await attestAgent(attempt, all)).agentId;
    };
    const request = { ttlSeconds: 600, token: undefined, aliasId: undefined };
    const { token } = await createJoinToken(request, options);
    clock.jumpWallClock(HOUR_MS);
    await expect(attest(token)).rejects.toThrow('join token expired');
    clock.jumpWallClock(-HOUR_MS);
    expect(await attest(token)).toContain(token);
    await expect(attest(token)).rejects.toThrow('has already been used');

    // Making another one sweeps away those that have expired.
    const early = await createJoinToken(request, options);
    clock.jumpWallClock(MONTH_MS);
    await clock.pass(NOTICE_MS);
    const late = await createJoinToken(request, options);
    await expect(attest(early.token)).rejects.toThrow('does not exist or has already been used');
    expect(await attest(late.token)).toContain(late.token);
    await server.stop();
  });
});

const ENTRY = sampleEntry('web', ['unix:uid:1']);
const SELECTORS = [parseSelector('unix:uid:1')];

/** An agent's cache and renewal, with its own clock, before a server with another. */
class AgentParts implements Disposable {
  readonly clock: CountingClock;
  readonly cache: SvidCache;
  readonly updates: WorkloadUpdate[] = [];
  /** Calls to the server. */
  calls = 0;
  isServerAway = false;
  readonly #issuer: X509SvidIssuance;
  readonly #stopping = new AbortController();

  constructor(clock: CountingClock, issuer: X509SvidIssuance) {
    this.clock = clock;
    this.#issuer = issuer;
    const common = { clock, log: silentLogger };
    this.cache = new SvidCache({ ...common, trustDomain: TRUST_DOMAIN, maximumSvids: 10 });
    const renewal = new SvidRenewal({
      ...common,
      cache: this.cache,
      signer: { sign: (requests) => this.#sign(requests) },
      keeping: undefined,
      keyType: 'ec-p256',
      policy: { availabilityTargetSeconds: undefined, random: () => 0.5 },
    });
    this.cache.connect(renewal);
    void renewal.runSigning(this.#stopping.signal);
    void renewal.runExpiry(this.#stopping.signal);
    this.cache.apply({ kind: 'snapshot', entries: [ENTRY], bundles: [sampleBundle('example.org')] });
    this.cache.subscribe(SELECTORS, (update) => this.updates.push(update));
  }

  /** What those who are connected were given last. */
  get served(): X509Svid | undefined {
    return this.updates.at(-1)?.identities[0]?.svid;
  }

  /** What a process that connects now is given first; undefined when it has to wait. */
  async newcomer(): Promise<WorkloadUpdate | undefined> {
    let first: WorkloadUpdate | undefined;
    const subscription = this.cache.subscribe(SELECTORS, (update) => (first ??= update));
    await new Promise((resolve) => setImmediate(resolve));
    subscription.close();
    return first;
  }

  [Symbol.dispose](): void {
    this.#stopping.abort();
  }

  async #sign(requests: readonly SigningRequest[]): Promise<readonly SigningResult[]> {
    this.calls += 1;
    if (this.isServerAway) throw new BonafideError('unavailable', 'the server is away');
    return Promise.all(
      requests.map(async ({ csr }) => {
        const request = { csr, spiffeId: ENTRY.spiffeId, dnsNames: [], ttlSeconds: HOUR_MS / 1000 };
        return {
          kind: 'signed',
          certificateChain: (await this.#issuer.issue(request)).certificateChain,
        } as const;
      }),
    );
  }
}

async function startAgent(options: { readonly hasOwnClock: boolean }): Promise<{
  readonly agent: AgentParts;
  readonly agentClock: CountingClock;
  /** The SVID that is served is one that others accept, by the server's clock. @throws when it is not. */
  readonly verify: () => Promise<void>;
  /** On both sides. */
  readonly pass: (ms: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}> {
  const serverClock = new CountingClock();
  const server = await startServer(serverClock);
  const agentClock = options.hasOwnClock ? new CountingClock() : serverClock;
  const agent = new AgentParts(agentClock, server.issuer);
  await waitFor('the first SVID', () => agent.served);
  return {
    ...{ agent, agentClock },
    verify: () => server.verify(agent.served?.certificateChain ?? []),
    async pass(ms) {
      const stepMs = ms > 5 * MINUTE_MS ? 30 * SECOND_MS : 10 * SECOND_MS;
      for (let left = ms; left > 0; left -= stepMs) {
        const nextMs = Math.min(left, stepMs);
        if (options.hasOwnClock) await serverClock.pass(nextMs, nextMs);
        await agentClock.pass(nextMs, nextMs);
      }
    },
    async stop() {
      agent[Symbol.dispose]();
      await server.stop();
    },
  };
}

describe('a machine whose clock is set, of server and agent both', () => {
  it.each(Object.entries(JUMPS))(
    '%s: workloads soon have SVIDs that are valid, made once',
    async (_name, jumpMs) => {
      const { agent, agentClock, pass, stop, verify } = await startAgent({ hasOwnClock: false });
      await pass(MINUTE_MS);
      expect(agent.calls).toBe(1);

      agentClock.jumpWallClock(jumpMs);
      const timersBefore = agentClock.timers;
      const now = agentClock.now();
      const first = await agent.newcomer();
      expect(first?.identities.filter(({ svid }) => svid.notAfter <= now) ?? []).toEqual([]);
      // Whichever notices first: the server signs nothing under an authority of another time.
      await pass(3 * NOTICE_MS);
      await verify();

      await pass(10 * MINUTE_MS);
      expect(agent.calls).toBeLessThanOrEqual(8);
      expect(agentClock.timers - timersBefore).toBeLessThan(200);
      await stop();
    },
  );
});

describe('a node whose clock is set, while its server keeps the right time', () => {
  it('an hour back renews before the SVID ends for everybody else', async () => {
    const { agent, agentClock, pass, stop, verify } = await startAgent({ hasOwnClock: true });
    agentClock.jumpWallClock(-HOUR_MS);
    for (let minutes = 0; minutes < 180; minutes += 10) {
      await pass(10 * MINUTE_MS);
      await verify();
    }
    expect(agent.calls).toBeLessThanOrEqual(8);
    await stop();
  });

  it('a month ahead by mistake asks seldom, and has a valid SVID soon after the mistake is mended', async () => {
    const { agent, agentClock, pass, stop, verify } = await startAgent({ hasOwnClock: true });
    agentClock.jumpWallClock(MONTH_MS);
    await pass(NOTICE_MS);
    expect((await agent.newcomer())?.identities ?? []).toEqual([]);
    await pass(30 * MINUTE_MS);
    expect(agent.calls).toBeLessThanOrEqual(20);

    agentClock.jumpWallClock(-MONTH_MS);
    await pass(2 * NOTICE_MS);
    expect((await agent.newcomer())?.identities[0]?.svid).toBe(agent.served);
    await verify();
    expect(agent.calls).toBeLessThanOrEqual(22);
    await stop();
  });

  it('an hour back while the server is away tries again as often as before', async () => {
    const { agent, agentClock, pass, stop } = await startAgent({ hasOwnClock: true });
    agent.isServerAway = true;
    await pass(35 * MINUTE_MS);
    expect(agent.calls).toBeGreaterThan(2);
    agentClock.jumpWallClock(-HOUR_MS);
    agent.isServerAway = false;
    const { served } = agent;
    await pass(2 * NOTICE_MS);
    expect(agent.served).not.toBe(served);
    await stop();
  });
});
