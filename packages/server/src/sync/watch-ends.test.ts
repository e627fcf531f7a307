import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleEntry } from '../store/example-records.js';
import { SnapshotAdmission } from './snapshot-admission.js';
import { settle, WatchingAgent } from './watching-agent.js';
import { A, B, HOUR, WatchedRegistry } from './watched-registry.js';

let registry: WatchedRegistry<FakeClock>;

beforeEach(async () => {
  registry = await WatchedRegistry.open(new FakeClock());
});

afterEach(() => registry.close());

describe('a stream ends', () => {
  it('at once when its agent is banned', async () => {
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await registry.put(A, { isBanned: true, serialNumber: undefined });
    expect(a.ended).toMatchObject({ reason: 'agent_banned' });
    expect(b.ended).toBeUndefined();
    const before = a.messages.length;
    await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages.length).toBe(before);
    expect(registry.streams.size).toBe(1);
  });

  it('at once when its agent is deleted, even while it waits for a slow reader', async () => {
    const a = registry.watch(A);
    await settle();
    a.pause();
    await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await registry.store.write(({ nodes }) => nodes.delete(A));
    expect(a.ended).toMatchObject({ reason: 'agent_not_attested' });
    const before = a.messages.length;
    await a.resume();
    expect(a.messages.length).toBe(before);
  });

  it('when the SVID that opened it expires, and not before', async () => {
    const a = registry.watch(A);
    await registry.clock.advance(HOUR - 1);
    expect(a.ended).toBeUndefined();
    await registry.clock.advance(1);
    expect(a.ended).toMatchObject({ reason: 'agent_expired' });
    expect(registry.clock.pendingTimers).toBe(0);
  });

  it('when the node has moved on to a newer SVID, but not while both are current', async () => {
    const a = registry.watch(A);
    await registry.put(A, { nextSerialNumber: 'b2' });
    expect(a.ended).toBeUndefined();
    await registry.put(A, { serialNumber: 'b2' });
    expect(a.ended).toMatchObject({ reason: 'aborted' });
  });

  it('when it acknowledges what was never sent', async () => {
    const a = registry.watch(A);
    await settle();
    a.acknowledge(a.revision + 1);
    expect(a.ended).toMatchObject({ reason: 'invalid_argument' });
  });

  it('quietly when its transport fails', async () => {
    const a = registry.watch(A);
    await settle();
    a.breakTransport();
    await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect(registry.streams.size).toBe(0);
    expect(registry.clock.pendingTimers).toBe(0);
  });

  it('when the server stops', async () => {
    const a = registry.watch(A);
    registry.streams.stop();
    expect(a.ended).toMatchObject({ reason: 'unavailable' });
    expect(() => registry.watch(A)).toThrow(expect.objectContaining({ reason: 'unavailable' }));
    await settle();
  });
});

it('ends a stream whose reader does not take a page of its snapshot, and gives its place to the next', async () => {
  const admission = new SnapshotAdmission({ atOnce: 1 });
  registry.renewStreams(admission);
  const a = new WatchingAgent(A);
  a.pause();
  registry.connect(a);
  const b = registry.watch(B);
  await settle();
  expect(b.messages).toEqual([]);
  await registry.clock.advance(30_000);
  expect(a.ended).toMatchObject({ reason: 'unavailable' });
  await a.resume(); // as when its connection is cut
  await settle();
  expect(b.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
});

it('tells a quiet agent of the newest revision now and then', async () => {
  const b = registry.watch(B);
  await settle();
  for (let index = 0; index < 1001; index += 1) {
    await registry.store.write(({ joinTokens }) => joinTokens.deleteExpired(registry.clock.now()));
  }
  await settle();
  expect(b.revision).toBeGreaterThanOrEqual(1000);
});
