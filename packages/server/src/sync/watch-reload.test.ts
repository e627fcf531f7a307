import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleEntry } from '../store/example-records.js';
import { settle } from './watching-agent.js';
import { A, agentNamed, B, WatchedRegistry } from './watched-registry.js';

const C = agentNamed('c');

let registry: WatchedRegistry<FakeClock>;

beforeEach(async () => {
  registry = await WatchedRegistry.open(new FakeClock());
});

afterEach(() => registry.close());

describe('when everything had to be read again', () => {
  it('each stream gets a snapshot of what is true now', async () => {
    await registry.create('gone', exampleEntry({ path: '/gone', parent: '/spire/agent/x/a' }));
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await settle();
    registry.silence();
    await registry.create('new', exampleEntry({ path: '/new', parent: '/spire/agent/x/a' }));
    await registry.store.write(({ entries }) => entries.delete('gone'));
    await settle();
    expect([...a.entries.keys()]).toEqual(['gone']);
    for (const agent of [a, b]) agent.messages.length = 0;
    await registry.reload();
    await settle();
    for (const agent of [a, b]) {
      expect(agent.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
      expect(agent.revision).toBe(await registry.store.currentRevision());
    }
    expect([...a.entries.keys()]).toEqual(['new']);
    // And goes on from there.
    await registry.create('later', exampleEntry({ path: '/later', parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages.at(-1)).toMatchObject({ kind: 'delta', upsertedEntries: [{ id: 'later' }] });
  });

  it('a stream ends whose agent was banned, evicted, or renewed its SVID meanwhile', async () => {
    await registry.put(C);
    const [a, b, c] = [registry.watch(A), registry.watch(B), registry.watch(C)];
    await settle();
    registry.silence();
    await registry.put(A, { isBanned: true, serialNumber: undefined });
    await registry.store.write(({ nodes }) => nodes.delete(B));
    await registry.put(C, { serialNumber: 'c2' });
    await settle();
    expect([a, b, c].map(({ ended }) => ended)).toEqual([undefined, undefined, undefined]);
    for (const agent of [a, b, c]) agent.messages.length = 0;
    await registry.reload();
    expect([a, b, c].map(({ ended }) => ended?.reason)).toEqual([
      'agent_banned',
      'agent_not_attested',
      'aborted',
    ]);
    await settle();
    expect([a, b, c].flatMap(({ messages }) => messages)).toEqual([]);
    expect(registry.streams.size).toBe(0);
    expect(registry.clock.pendingTimers).toBe(0);
  });

  it('history begins anew: a cursor from before gets a snapshot, one from after what it missed', async () => {
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await settle();
    a.close();
    registry.silence();
    await registry.create('missed', exampleEntry({ path: '/missed', parent: '/spire/agent/x/a' }));
    await registry.reload();
    await settle();
    b.close();
    await registry.create('later', exampleEntry({ path: '/later', parent: '/spire/agent/x/b' }));
    for (const agent of [a, b]) {
      agent.messages.length = 0;
      registry.connect(agent);
    }
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect([...a.entries.keys()]).toEqual(['missed']);
    expect(b.messages).toMatchObject([{ kind: 'delta', upsertedEntries: [{ id: 'later' }] }]);
  });

  it('an agent that had seen more elsewhere is greeted once, at what it had seen', async () => {
    const a = registry.watch(A);
    await settle();
    a.close();
    registry.silence();
    await registry.create('elsewhere', exampleEntry({ path: '/elsewhere', parent: '/spire/agent/x/a' }));
    const { revision, nonce } = await registry.store.position();
    Object.assign(a, { revision, logId: `${registry.store.logId}/${nonce}` });
    a.messages.length = 0;
    registry.connect(a);
    await settle();
    expect(a.messages).toEqual([]);
    await registry.reload();
    await settle();
    expect(a.messages).toMatchObject([{ kind: 'delta', revision, upsertedEntries: [] }]);
    expect(registry.clock.pendingTimers).toBe(1); // of the stream's end
  });

  it('a receipt counts again once the snapshot is acknowledged, and none of an agent that was banned', async () => {
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await settle();
    const held = a.revision;
    expect(registry.receipts.stateOf(A)).toEqual({ kind: 'connected', appliedRevision: held });
    a.acknowledges = false;
    registry.silence();
    await registry.put(B, { isBanned: true, serialNumber: undefined });
    await registry.create('new', exampleEntry({ path: '/new', parent: '/spire/agent/x/a' }));
    await registry.reload();
    await settle();
    expect(registry.receipts.stateOf(A)).toEqual({ kind: 'connected', appliedRevision: held });
    a.acknowledge(a.revision);
    expect(registry.receipts.stateOf(A)).toEqual({ kind: 'connected', appliedRevision: held + 2 });
    expect(b.ended).toMatchObject({ reason: 'agent_banned' });
    expect(registry.receipts.stateOf(B)).toEqual({ kind: 'away', appliedRevision: 0, since: undefined });
  });
});
