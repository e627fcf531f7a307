import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleEntry } from '../store/example-records.js';
import { settle, WatchingAgent } from './watching-agent.js';
import { A, WatchedRegistry } from './watched-registry.js';

let registry: WatchedRegistry<FakeClock>;

beforeEach(async () => {
  registry = await WatchedRegistry.open(new FakeClock());
});

afterEach(() => registry.close());

describe('a cursor', () => {
  it('gets only what was missed', async () => {
    await registry.create('old', exampleEntry({ path: '/old', parent: '/spire/agent/x/a' }));
    await registry.create('gone', exampleEntry({ path: '/gone', parent: '/spire/agent/x/a' }));
    const a = registry.watch(A);
    await settle();
    a.close();
    await registry.create('new', exampleEntry({ path: '/new', parent: '/spire/agent/x/a' }));
    await registry.create('foreign', exampleEntry({ path: '/foreign', parent: '/spire/agent/x/b' }));
    await registry.store.write(({ entries }) => entries.delete('gone'));
    const before = a.messages.length;
    registry.connect(a);
    await settle();
    expect(a.messages.slice(before)).toMatchObject([
      {
        kind: 'delta',
        revision: await registry.store.currentRevision(),
        upsertedEntries: [{ id: 'new' }],
        removedEntryIds: ['gone'],
      },
    ]);
    expect([...a.entries.keys()]).toEqual(['old', 'new']);
  });

  it('that is up to date is told so', async () => {
    const a = registry.watch(A);
    await settle();
    a.close();
    const before = a.messages.length;
    registry.connect(a);
    await settle();
    expect(a.messages.slice(before)).toMatchObject([
      { kind: 'delta', upsertedEntries: [], removedEntryIds: [], removedBundleTrustDomains: [] },
    ]);
  });

  it.each([
    ['of another log', { logId: 'another', revision: 1 }],
    ['of nothing', { logId: undefined, revision: 0 }],
    ['from before this server began to remember', { logId: undefined, revision: 1 }],
  ])('%s gets a snapshot', async (what, { logId, revision }) => {
    if (what.startsWith('from before')) {
      registry.renewStreams();
      await registry.create('x', exampleEntry({ parent: '/spire/agent/x/b' }));
      revision = 0.5;
    }
    const a = new WatchingAgent(A);
    a.logId = logId ?? registry.store.logId;
    a.revision = revision;
    registry.connect(a);
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
  });

  it('from before the node was deleted and attested again gets a snapshot', async () => {
    await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    const a = registry.watch(A);
    await settle();
    await registry.store.write(({ nodes }) => nodes.delete(A));
    expect(a.ended).toMatchObject({ reason: 'agent_not_attested' });
    await registry.store.write(({ entries }) => entries.delete('a'));
    await registry.put(A);
    const before = a.messages.length;
    registry.connect(a);
    await settle();
    expect(a.messages.slice(before).map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect(a.entries.size).toBe(0);
  });
});

describe('a cursor that names a commit', () => {
  it('which this log does not have, though it has the revision, gets a snapshot', async () => {
    await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    const a = registry.watch(A);
    await settle();
    a.close();
    expect(a.logId).toBe(`${registry.store.logId}/${registry.graph.position.nonce}`);
    a.logId = `${registry.store.logId}/restoredElse`;
    a.messages.length = 0;
    registry.connect(a);
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
  });

  it('of a server which is ahead waits until this one has caught up, and gets no older state meanwhile', async () => {
    const a = registry.watch(A);
    await settle();
    a.close();
    a.revision += 2;
    a.logId = `${registry.store.logId}/notYetSeen`;
    a.messages.length = 0;
    registry.connect(a);
    await registry.create('one', exampleEntry({ path: '/one', parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages).toEqual([]);
    await registry.create('two', exampleEntry({ path: '/two', parent: '/spire/agent/x/a' }));
    await settle();
    // The commit turned out to be another one.
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect([...a.entries.keys()].sort()).toEqual(['one', 'two']);
  });

  it('of a future that does not come gets a snapshot after a while', async () => {
    const a = new WatchingAgent(A);
    a.logId = `${registry.store.logId}/future`;
    a.revision = Number.MAX_SAFE_INTEGER;
    registry.connect(a);
    a.acknowledge(1_000);
    expect(a.ended).toMatchObject({ reason: 'invalid_argument' });
    registry.connect(a);
    await settle();
    expect(a.messages).toEqual([]);
    await registry.clock.advance(5_000);
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect(a.revision).toBe(registry.graph.revision);
  });
});
