import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import type { ContinuousProof, NodeAttestor } from '../node-attestation/node-attestor.js';
import { exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { LastProven } from './last-proven.js';
import { ProofSchedule } from './proof-schedule.js';

const MINUTE = 60_000;
const trustDomain = exampleTrustDomain('example.org');
const agent = (name: string | number): SpiffeId => spiffeIdFromParts(trustDomain, `/spire/agent/x/${name}`);
const A = agent('a');

const continuous: ContinuousProof = {
  intervalSeconds: 600,
  deadlineSeconds: 1800,
  prove: () => Promise.reject(new Error('nobody proves anything here')),
  accept: (record) => record,
  facts: () => [],
};

let clock: FakeClock;
let store: Store;
let schedule: ProofSchedule;
let stop: AbortController;
let running: Promise<void>;
/** Those that listen. */
let open: Set<SpiffeId>;
let asked: { readonly agentId: SpiffeId; readonly atMs: number }[];
let quarantined: SpiffeId[];
let overdue: number[];

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  open = new Set();
  asked = [];
  quarantined = [];
  overdue = [];
  start();
});

afterEach(async () => {
  stop.abort();
  await running;
  expect(clock.pendingTimers).toBe(0);
  await store.close();
});

/** As a server that was just started. */
function start(): void {
  stop = new AbortController();
  schedule = new ProofSchedule({
    attestors: new Map<string, NodeAttestor>([
      ['join_token', { attest: () => Promise.reject(new Error('not here')), continuous }],
    ]),
    streams: {
      openAgents: () => open,
      askForProof: (agentId) => {
        if (open.has(agentId)) asked.push({ agentId, atMs: clock.monotonicMs() });
        return open.has(agentId);
      },
    },
    nodes: {
      node: (agentId) =>
        exampleNode({
          agentId,
          quarantine: quarantined.includes(agentId) ? { since: clock.now(), findings: [] } : undefined,
        }),
    },
    store,
    lastProven: new LastProven({ proofs: store.nodeProofs, clock, log: silentLogger }),
    quarantine: (agentId) => {
      quarantined.push(agentId);
      open.delete(agentId);
      return Promise.resolve(true);
    },
    notices: { overdue: (count) => overdue.push(count) },
    clock,
    log: silentLogger,
    random: () => 0.5,
  });
  running = schedule.run(stop.signal);
}

async function provenAt(agentId: SpiffeId, at: Date): Promise<void> {
  await store.write(({ nodeProofs }) =>
    nodeProofs.put({ agentId, provenAt: at, requestedAt: undefined, record: '{}' }),
  );
}

async function connect(name: string | number, ageMs: number): Promise<SpiffeId> {
  const agentId = agent(name);
  await provenAt(agentId, new Date(clock.now().getTime() - ageMs));
  open.add(agentId);
  return agentId;
}

/** Answers at once whoever is asked, as agents do. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 5_000) {
    const before = asked.length;
    await clock.advance(5_000);
    for (const { agentId } of asked.slice(before)) {
      await provenAt(agentId, clock.now());
      schedule.proven(agentId);
    }
  }
}

describe('nodes that are connected', () => {
  it('are asked once in each interval, and not before', async () => {
    await connect('a', 0);
    await clock.advance(8 * MINUTE - 10_000);
    expect(asked).toEqual([]);
    await pass(60 * MINUTE);
    expect(asked.length).toBeGreaterThanOrEqual(6);
    expect(asked.length).toBeLessThanOrEqual(8);
    expect(quarantined).toEqual([]);
  });

  it('are not asked here when they have proven themselves at another server', async () => {
    await connect('a', 0);
    for (let minute = 0; minute < 60; minute += 5) {
      await clock.advance(5 * MINUTE);
      await provenAt(A, clock.now());
    }
    expect(asked).toEqual([]);
  });

  it('are asked little by little when a thousand are due at once', async () => {
    for (let index = 0; index < 1_000; index += 1) await connect(index, 20 * MINUTE);
    await pass(40_000);
    expect(new Set(asked.map(({ agentId }) => agentId)).size).toBe(1_000);
    expect(asked).toHaveLength(1_000);
    const inOneSecond = new Map<number, number>();
    for (const { atMs } of asked) inOneSecond.set(atMs, (inOneSecond.get(atMs) ?? 0) + 1);
    expect(Math.max(...inOneSecond.values())).toBeLessThanOrEqual(500);
    expect(quarantined).toEqual([]);
  });

  it('are asked at once when an operator asks, at whichever server', async () => {
    await connect('a', 0);
    await clock.advance(6_000);
    await store.write(({ nodeProofs }) =>
      nodeProofs.put({ agentId: A, provenAt: clock.now(), requestedAt: clock.now(), record: '{}' }),
    );
    expect(asked).toHaveLength(1);
  });

  it('are asked when they come back, if an operator asked while they were away', async () => {
    await store.write(({ nodeProofs }) =>
      nodeProofs.put({ agentId: A, provenAt: clock.now(), requestedAt: clock.now(), record: '{}' }),
    );
    await clock.advance(MINUTE);
    open.add(A);
    await clock.advance(6_000);
    expect(asked).toHaveLength(1);
  });
});

describe('a node that does not prove itself', () => {
  it('goes into quarantine at its deadline', async () => {
    await connect('a', 0);
    await clock.advance(29 * MINUTE);
    expect(quarantined).toEqual([]);
    await clock.advance(2 * MINUTE);
    expect(quarantined).toEqual([A]);
  });

  it('gets no more time by leaving and coming back', async () => {
    await connect('a', 0);
    for (let minute = 0; minute < 31 && quarantined.length === 0; minute += 1) {
      await clock.advance(50_000);
      open.delete(A);
      await clock.advance(10_000);
      open.add(A);
      schedule.called(A); // to listen is a call as well
    }
    await clock.advance(MINUTE);
    expect(quarantined).toEqual([A]);
  });

  it('gets no more time by polling instead of listening', async () => {
    await provenAt(A, clock.now());
    for (let minute = 0; minute < 33; minute += 1) {
      schedule.called(A);
      await clock.advance(MINUTE);
    }
    expect(quarantined).toEqual([A]);
  });

  it('gets no more time by calling now and then, without ever listening', async () => {
    await provenAt(A, clock.now());
    for (let time = 0; time < 10 && quarantined.length === 0; time += 1) {
      await clock.advance(10 * MINUTE);
      schedule.called(A);
      await clock.advance(5_000);
    }
    expect(asked).toEqual([]);
    expect(quarantined).toEqual([A]);
  });

  it('because it was off is asked once more when it is back', async () => {
    await connect('a', 9 * MINUTE);
    await clock.advance(6_000);
    expect(asked).toHaveLength(1);
    open.delete(A);
    await clock.advance(120 * MINUTE);
    open.add(A);
    await clock.advance(10_000);
    expect(asked).toHaveLength(2);
    expect(quarantined).toEqual([]);
    await clock.advance(2 * MINUTE);
    expect(quarantined).toEqual([A]);
  });

  it('is left alone while it is not connected', async () => {
    await connect('a', 0);
    await clock.advance(MINUTE);
    open.delete(A);
    await clock.advance(120 * MINUTE);
    expect(quarantined).toEqual([]);
  });

  it('is one of few at a time: more are rather the fault of the server', async () => {
    for (let index = 0; index < 200; index += 1) await connect(index, 20 * MINUTE);
    await clock.advance(12 * MINUTE);
    expect(quarantined.length).toBeGreaterThan(0);
    expect(quarantined.length).toBeLessThanOrEqual(15);
    expect(Math.max(...overdue)).toBeGreaterThan(100);
  });
});

describe('a server', () => {
  it('that was just started puts nobody into quarantine before it has asked and waited', async () => {
    for (let index = 0; index < 50; index += 1) await connect(index, 24 * 60 * MINUTE);
    await clock.advance(60_000);
    expect(quarantined).toEqual([]);
    expect(new Set(asked.map(({ agentId }) => agentId)).size).toBe(50);
    await pass(10 * MINUTE);
    expect(quarantined).toEqual([]);
  });

  it('whose clock is set ahead asks again, and blames nobody', async () => {
    for (let index = 0; index < 50; index += 1) await connect(index, 0);
    await clock.advance(MINUTE);
    clock.jumpWallClock(30 * 24 * 60 * MINUTE);
    await pass(20 * MINUTE);
    expect(asked.length).toBeGreaterThanOrEqual(50);
    expect(quarantined).toEqual([]);
  });

  it('whose clock is set back still asks within an interval', async () => {
    await connect('a', 0);
    await clock.advance(MINUTE);
    clock.jumpWallClock(-24 * 60 * MINUTE);
    await clock.advance(11 * MINUTE);
    await pass(22 * MINUTE);
    expect(asked.length).toBeGreaterThanOrEqual(1);
    expect(quarantined).toEqual([]);
  });

  it('without a database counts no time against anybody', async () => {
    await connect('a', 40 * MINUTE);
    await clock.advance(30_000);
    expect(asked.length).toBeGreaterThan(0);
    Object.defineProperty(store.connection, 'state', {
      value: { kind: 'lost', since: clock.now(), problem: 'it is gone' },
      configurable: true,
      writable: true,
    });
    await clock.advance(60 * MINUTE);
    expect(quarantined).toEqual([]);
    Object.defineProperty(store.connection, 'state', {
      value: { kind: 'connected' },
      configurable: true,
      writable: true,
    });
    await clock.advance(80_000);
    expect(quarantined).toEqual([]);
    await clock.advance(2 * MINUTE);
    expect(quarantined).toEqual([A]);
  });
});
