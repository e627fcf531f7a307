import { describe, expect, it } from 'vitest';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { X509SvidBatchIssuance, type QueueLimits } from './issue-x509-svid-batches.js';
import type { IssuedX509Svid, SigningCall, SigningOutcome, X509SvidRequest } from './x509-svid-request.js';

const LIMITS: QueueLimits = { items: 100, itemsOfCaller: 60, bytes: 1000 };
/** What the thread pool takes at once. */
const PLACES = 16;

/** A signer that takes a hundredth of a second for each, so that 1,600 are signed in a second. */
class Signing {
  readonly clock = new FakeClock();
  readonly signed: string[] = [];
  readonly issuance: X509SvidBatchIssuance;

  constructor(limits = LIMITS, random = () => 0) {
    const mainThread = {
      issue: ({ spiffeId }: X509SvidRequest): Promise<IssuedX509Svid> =>
        new Promise((resolve) => {
          this.clock.schedule(10, () => {
            this.signed.push(spiffeId);
            const at = this.clock.now();
            resolve({ spiffeId, certificateChain: [], serialNumber: '', notBefore: at, notAfter: at });
          });
        }),
    };
    const authorities = {
      activeX509: (): never => {
        throw new BonafideError('unavailable', 'not asked without threads');
      },
    };
    const options = { authorities, clock: this.clock, log: silentLogger, mainThread, limits, random };
    this.issuance = new X509SvidBatchIssuance(options);
  }

  ask(caller: string, size: number, call: Partial<SigningCall> = {}): Promise<readonly SigningOutcome[]> {
    const asked = this.issuance.issueBatch(
      Array.from({ length: size }, (_, index) => () => request(`${caller}/${index}`)),
      {
        caller: parseSpiffeId(`spiffe://example.org/spire/agent/${caller}`),
        secondsLeft: undefined,
        patienceMs: 30_000,
        bytes: 0,
        signal: new AbortController().signal,
        ...call,
      },
    );
    asked.catch(() => undefined);
    return asked;
  }

  /** Callers in the order in which their SVIDs were signed. */
  get order(): readonly string[] {
    return this.signed.map((spiffeId) => new URL(spiffeId).pathname.split('/')[1] ?? '');
  }
}

function request(path: string): X509SvidRequest {
  return {
    csr: Buffer.alloc(0),
    spiffeId: parseSpiffeId(`spiffe://example.org/${path}`),
    dnsNames: [],
    ttlSeconds: 60,
  };
}

describe('the order of signing', () => {
  it('is by the life that is left, and nobody waits for ever', async () => {
    const signing = new Signing();
    void signing.ask('first', PLACES); // takes every place, so that the others wait
    void signing.ask('fresh', 40);
    void signing.ask('later', 20, { secondsLeft: 1800 });
    void signing.ask('soon', 20, { secondsLeft: 300 });
    void signing.ask('now', 20, { secondsLeft: 5 });
    await signing.clock.advance(1000);
    const order = signing.order.slice(PLACES);
    const mean = (caller: string): number => {
      const places = order.flatMap((name, place) => (name === caller ? [place] : []));
      return places.reduce((sum, place) => sum + place, 0) / places.length;
    };
    expect(order).toHaveLength(100);
    expect(mean('now')).toBeLessThan(mean('soon'));
    expect(mean('soon')).toBeLessThan(mean('later'));
    // The one that waits longest has a quarter of the turns while all the others are more urgent.
    const whileUrgent = order.slice(0, 24);
    expect(whileUrgent.filter((name) => name === 'fresh')).toHaveLength(6);
    expect(whileUrgent.filter((name) => name === 'now')).toHaveLength(18);
  });

  it('gives the agents of one urgency their turns, however much one of them asks for and whatever it claims', async () => {
    const signing = new Signing({ ...LIMITS, items: 10_000, itemsOfCaller: 5000 });
    void signing.ask('first', PLACES);
    for (let batch = 0; batch < 9; batch += 1) void signing.ask('greedy', 500, { secondsLeft: 0 });
    const honest = Array.from({ length: 10 }, (_, index) =>
      signing.ask(`urgent${index}`, 10, { secondsLeft: 30 }),
    );
    const fresh = signing.ask('fresh', 10);
    let servedAt = 0;
    void Promise.all(honest).then(() => (servedAt = signing.signed.length));
    await signing.clock.advance(1000);
    expect(servedAt).toBeGreaterThan(0);
    expect(servedAt).toBeLessThan(600); // of 4,626
    await signing.clock.advance(4000);
    await expect(fresh).resolves.toHaveLength(10);
  });
});

describe('whoever cannot be served in time', () => {
  it('is told when to come back, each another time, as fast as the queue drains', async () => {
    const signing = new Signing({ items: 10_000, itemsOfCaller: 10_000, bytes: 1e9 });
    void signing.ask('first', 1600);
    await signing.clock.advance(500);
    void signing.ask('second', 5200);
    const refusals = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => signing.ask(`late${index}`, 160)),
    );
    const waits = refusals.map((refusal) => {
      const error = refusal.status === 'rejected' ? (refusal.reason as BonafideError) : undefined;
      expect(error?.reason).toBe('resource_exhausted');
      return error?.retryAfterMs ?? 0;
    });
    waits.forEach((wait, index) => {
      expect(wait).toBeGreaterThan(80 * (index + 1));
      expect(wait).toBeLessThan(120 * (index + 1) + 20);
    });
    // Those who come when they were told to find room.
    for (const [index, wait] of waits.entries()) {
      await signing.clock.advance(wait - (waits[index - 1] ?? 0));
      void signing.ask(`late${index}`, 160);
    }
    await signing.clock.advance(10_000);
    expect(signing.order.filter((name) => name.startsWith('late'))).toHaveLength(1600);
  });

  it('is let into the last room of the queue when its SVIDs are about to end, and is not sent away for longer than they live', async () => {
    const signing = new Signing();
    void signing.ask('first', PLACES);
    void signing.ask('fresh', 60);
    await expect(signing.ask('too-fresh', 1)).rejects.toMatchObject({ reason: 'resource_exhausted' });
    void signing.ask('urgent', 40, { secondsLeft: 10 });
    const refused = signing.ask('too-urgent', 50, { secondsLeft: 20 });
    await expect(refused).rejects.toMatchObject({ reason: 'resource_exhausted' });
    const { retryAfterMs } = (await refused.catch((error: unknown) => error)) as BonafideError;
    expect(retryAfterMs).toBeLessThanOrEqual(5000);
  });

  it('cannot fill the queue alone, by items or by memory', async () => {
    const signing = new Signing();
    void signing.ask('first', PLACES);
    void signing.ask('greedy', 40, { secondsLeft: 0 });
    await expect(signing.ask('greedy', 21, { secondsLeft: 0 })).rejects.toMatchObject({
      reason: 'resource_exhausted',
    });
    await expect(signing.ask('large', 1, { bytes: 601 })).rejects.toMatchObject({
      reason: 'resource_exhausted',
    });
    void signing.ask('small', 1, { bytes: 599 });
    expect(signing.issuance.waiting).toBe(41);
  });

  it('is refused at once when its deadline is nearer than its turn', async () => {
    const signing = new Signing({ items: 10_000, itemsOfCaller: 10_000, bytes: 1e9 });
    void signing.ask('first', 3200);
    await signing.clock.advance(500);
    await expect(signing.ask('hasty', 10, { patienceMs: 1000 })).rejects.toThrow('before the deadline');
    const urgent = signing.ask('hasty', 10, { patienceMs: 1000, secondsLeft: 5 });
    await signing.clock.advance(1000);
    await expect(urgent).resolves.toHaveLength(10);
  });

  it('is dropped without signing once its deadline has passed or its caller has gone', async () => {
    const signing = new Signing();
    void signing.ask('first', PLACES);
    const gone = new AbortController();
    const left = signing.ask('left', 20, { signal: gone.signal });
    const late = signing.ask('late', 20, { patienceMs: 5 });
    gone.abort();
    await expect(left).rejects.toMatchObject({ reason: 'cancelled' });
    expect(signing.issuance.waiting).toBe(20);
    await signing.clock.advance(100);
    await expect(late).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    expect(signing.order).toEqual(Array<string>(PLACES).fill('first'));
    await expect(signing.ask('left', 1, { signal: gone.signal })).rejects.toMatchObject({
      reason: 'cancelled',
    });
    expect(signing.issuance.waiting).toBe(0);
  });
});

it('makes each request when its turn comes, and what that throws is the outcome of its item', async () => {
  const signing = new Signing();
  void signing.ask('first', PLACES);
  let isDeleted = false;
  const lookUp = (): X509SvidRequest => {
    if (isDeleted) throw invalidArgument('deleted');
    return request('web');
  };
  const outcomes = signing.issuance.issueBatch([lookUp, () => request('other')], {
    caller: parseSpiffeId('spiffe://example.org/spire/agent/x'),
    secondsLeft: undefined,
    patienceMs: 30_000,
    bytes: 0,
    signal: new AbortController().signal,
  });
  isDeleted = true;
  await signing.clock.advance(100);
  expect((await outcomes).map(({ kind }) => kind)).toEqual(['refused', 'issued']);
});

it('sends everybody away when the server stops', async () => {
  const signing = new Signing();
  const first = signing.ask('first', PLACES);
  const waiting = signing.ask('waiting', 20);
  signing.issuance.close();
  await expect(waiting).rejects.toMatchObject({ reason: 'unavailable' });
  await expect(signing.ask('new', 1)).rejects.toMatchObject({ reason: 'unavailable' });
  await signing.clock.advance(100);
  await expect(first).resolves.toHaveLength(PLACES);
});
