import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleEntry } from '../store/example-records.js';
import { SnapshotAdmission } from './snapshot-admission.js';
import { settle } from './watching-agent.js';
import { A, B, WatchedRegistry } from './watched-registry.js';

let registry: WatchedRegistry<FakeClock>;

beforeEach(async () => {
  registry = await WatchedRegistry.open(new FakeClock());
});

afterEach(() => registry.close());

describe('when the server stops', () => {
  it('asks its agents to leave, waits until they have, and lets none in', async () => {
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await settle();
    const drained = registry.streams.drain(5_000);
    await settle();
    expect([a, b].map((agent) => agent.messages.at(-1))).toEqual([
      { kind: 'drain', spreadMs: 5_000 },
      { kind: 'drain', spreadMs: 5_000 },
    ]);
    expect(() => registry.watch(A)).toThrow(expect.objectContaining({ reason: 'unavailable' }));
    // Changes still arrive until the agent has left.
    await registry.create('late', exampleEntry({ path: '/late', parent: '/spire/agent/x/b' }));
    await settle();
    expect([...b.entries.keys()]).toEqual(['late']);
    a.close();
    b.close();
    await drained;
    expect(registry.clock.pendingTimers).toBe(0);
  });

  it('waits no longer than the spread and a moment for those that stay', async () => {
    registry.watch(A);
    await settle();
    let isDrained = false;
    const drained = registry.streams.drain(5_000).then(() => (isDrained = true));
    await registry.clock.advance(5_999);
    expect(isDrained).toBe(false);
    await registry.clock.advance(1);
    await drained;
    registry.streams.stop();
  });

  it('does not wait at all when nobody is there, or when told so', async () => {
    await registry.streams.drain(5_000);
    await registry.streams.drain(0);
    expect(registry.clock.pendingTimers).toBe(0);
  });

  it('asks those first that wait for a snapshot', async () => {
    const admission = new SnapshotAdmission({ atOnce: 1 });
    const occupied = admission.request();
    registry.renewStreams(admission);
    const a = registry.watch(A);
    await settle();
    expect(a.messages).toEqual([]);
    const drained = registry.streams.drain(5_000);
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['drain']);
    occupied.leave();
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['drain', 'snapshot_page']);
    await registry.clock.advance(6_000);
    await drained;
  });
});
