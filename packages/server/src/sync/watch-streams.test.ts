import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { WatchingAgent, settle } from './watching-agent.js';
import { SnapshotAdmission } from './snapshot-admission.js';
import { WatchStreams } from './watch-streams.js';

const trustDomain = exampleTrustDomain('example.org');
const id = (path: string): SpiffeId => spiffeIdFromParts(trustDomain, path);
const A = id('/spire/agent/x/a');
const B = id('/spire/agent/x/b');
const HOUR = 3_600_000;

let clock: FakeClock;
let store: Store;
let graph: EntryGraph;
let streams: WatchStreams;

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  graph = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
  streams = new WatchStreams({
    graph,
    logId: store.logId,
    trustDomain,
    clock,
    log: silentLogger,
    maxWaitingEntries: 20,
  });
  await store.write(async ({ bundles, nodes }) => {
    await bundles.put(exampleBundle('example.org'));
    await nodes.put(node(A));
    await nodes.put(node(B));
  });
});

afterEach(async () => {
  streams.stop();
  graph.stop();
  await store.close();
});

function node(agentId: SpiffeId, changes: Partial<AttestedNode> = {}): AttestedNode {
  return exampleNode({ agentId, ...changes });
}

async function create(entryId: string, content: RegistrationEntryContent): Promise<number> {
  return store.write(async ({ entries, revision }) => {
    await entries.create(content, { id: entryId, createdAt: clock.now() });
    return revision;
  });
}

function put(given: AttestedNode): Promise<void> {
  return store.write(({ nodes }) => nodes.put(given));
}

function watch(agentId: SpiffeId): WatchingAgent {
  const agent = new WatchingAgent(agentId);
  agent.connect(streams, new Date(clock.now().getTime() + HOUR));
  return agent;
}

describe('a new stream', () => {
  it('begins with a snapshot of exactly what the agent may know, in pages', async () => {
    await store.write(async ({ entries }) => {
      for (let index = 0; index < 1201; index += 1) {
        const content = exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' });
        await entries.create(content, { id: `e${index}`, createdAt: clock.now() });
      }
      const foreign = exampleEntry({ path: '/other', parent: '/spire/agent/x/b' });
      await entries.create(foreign, { id: 'foreign', createdAt: clock.now() });
    });
    const agent = watch(A);
    await settle();
    expect(agent.messages.map((message) => message.kind)).toEqual([
      'snapshot_page',
      'snapshot_page',
      'snapshot_page',
    ]);
    expect(agent.entries.size).toBe(1201);
    expect(agent.entries.has('foreign')).toBe(false);
    expect([...agent.bundles.keys()]).toEqual(['example.org']);
    expect(agent.revision).toBe(await store.currentRevision());
  });

  it('replaces the old one of the same agent', async () => {
    const old = watch(A);
    const fresh = watch(A);
    await settle();
    expect(old.ended).toMatchObject({ reason: 'aborted' });
    expect(fresh.ended).toBeUndefined();
    old.close();
    await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect([...fresh.entries.keys()]).toEqual(['a']);
    expect(streams.size).toBe(1);
  });

  it('is refused to a node that is unknown, banned, or shows an SVID that is not its own or has expired', async () => {
    await put(node(B, { isBanned: true, serialNumber: undefined }));
    expect(() => watch(id('/spire/agent/x/none'))).toThrow(
      expect.objectContaining({ reason: 'agent_not_attested' }),
    );
    expect(() => watch(B)).toThrow(expect.objectContaining({ reason: 'agent_banned' }));
    await put(node(A, { serialNumber: 'other' }));
    expect(() => watch(A)).toThrow(expect.objectContaining({ reason: 'aborted' }));
    await put(node(A));
    expect(() => {
      new WatchingAgent(A).connect(streams, clock.now());
    }).toThrow(expect.objectContaining({ reason: 'agent_expired' }));
  });
});

describe('a change', () => {
  it('is pushed to the agent it concerns and to no other, before anything else is asked of it', async () => {
    const [a, b] = [watch(A), watch(B)];
    await settle();
    const before = b.messages.length;
    const revision = await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages.at(-1)).toMatchObject({ kind: 'delta', revision, removedEntryIds: [] });
    expect([...a.entries.keys()]).toEqual(['a']);
    expect(b.messages.length).toBe(before);
  });

  it('of a parent moves what hangs under it', async () => {
    const [a, b] = [watch(A), watch(B)];
    await create('middle', exampleEntry({ path: '/middle', parent: '/spire/agent/x/a' }));
    await create('leaf', exampleEntry({ path: '/leaf', parent: '/middle' }));
    await settle();
    expect([...a.entries.keys()]).toEqual(['middle', 'leaf']);
    await store.write(({ entries }) =>
      entries.update('middle', exampleEntry({ path: '/middle', parent: '/spire/agent/x/b' })),
    );
    await settle();
    expect([...a.entries.keys()]).toEqual([]);
    expect([...b.entries.keys()].sort()).toEqual(['leaf', 'middle']);
  });

  it("of a node's selectors gives and takes what hangs under its aliases", async () => {
    await create(
      'alias',
      exampleEntry({ path: '/prod', parent: '/spire/server', selectors: ['x:env:prod'] }),
    );
    await create('web', exampleEntry({ path: '/web', parent: '/prod' }));
    const a = watch(A);
    await settle();
    expect(a.entries.size).toBe(0);
    await put(node(A, { selectors: [parseSelector('x:env:prod'), parseSelector('x:more:1')] }));
    await settle();
    expect([...a.entries.keys()]).toEqual(['web']);
    await put(node(A, { selectors: [parseSelector('x:more:1')] }));
    await settle();
    expect(a.entries.size).toBe(0);
  });

  it('of a bundle reaches those whose entries name it, and the set follows the entries', async () => {
    const other = exampleBundle('other.example');
    await store.write(({ bundles }) => bundles.put(other));
    const [a, b] = [watch(A), watch(B)];
    const content = exampleEntry({ parent: '/spire/agent/x/a' });
    await create('a', { ...content, federatesWith: [other.trustDomain] });
    await settle();
    expect([...a.bundles.keys()].sort()).toEqual(['example.org', 'other.example']);
    await store.write(({ bundles }) => bundles.put({ ...other, sequenceNumber: 2 }));
    await store.write(({ bundles }) => bundles.put({ ...exampleBundle('example.org'), sequenceNumber: 7 }));
    await settle();
    expect(a.bundles.get(other.trustDomain)?.sequenceNumber).toBe(2);
    expect([a, b].map((agent) => agent.bundles.get(trustDomain)?.sequenceNumber)).toEqual([7, 7]);
    expect([...b.bundles.keys()]).toEqual(['example.org']);
    await store.write(({ entries }) => entries.update('a', content));
    await settle();
    expect([...a.bundles.keys()]).toEqual(['example.org']);
  });

  it('waits while the reader does not read, and then comes once, as it is by then', async () => {
    const a = watch(A);
    await settle();
    a.pause();
    for (let index = 0; index < 15; index += 1) {
      await create(`e${index}`, exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' }));
    }
    for (let hint = 0; hint < 50; hint += 1) {
      await store.write(({ entries }) =>
        entries.update('e7', {
          ...exampleEntry({ path: '/w7', parent: '/spire/agent/x/a' }),
          hint: String(hint),
        }),
      );
    }
    await store.write(({ entries }) => entries.delete('e8'));
    await settle();
    const before = a.messages.length;
    await a.resume();
    // One message was under way when the reader stopped; one more says all the rest.
    expect(a.messages.length - before).toBeLessThanOrEqual(2);
    expect(a.entries.size).toBe(14);
    expect(a.entries.get('e7')?.hint).toBe('49');
  });

  it('that is too large to keep for a slow reader is told as a snapshot', async () => {
    const a = watch(A);
    await settle();
    a.pause();
    for (let index = 0; index < 22; index += 1) {
      await create(`e${index}`, exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' }));
    }
    const before = a.messages.length;
    await a.resume();
    expect(a.messages.slice(before).map(({ kind }) => kind)).toEqual(['delta', 'snapshot_page']);
    expect(a.entries.size).toBe(22);
  });
});

describe('a cursor', () => {
  it('gets only what was missed', async () => {
    await create('old', exampleEntry({ path: '/old', parent: '/spire/agent/x/a' }));
    await create('gone', exampleEntry({ path: '/gone', parent: '/spire/agent/x/a' }));
    const a = watch(A);
    await settle();
    a.close();
    await create('new', exampleEntry({ path: '/new', parent: '/spire/agent/x/a' }));
    await create('foreign', exampleEntry({ path: '/foreign', parent: '/spire/agent/x/b' }));
    await store.write(({ entries }) => entries.delete('gone'));
    const before = a.messages.length;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    await settle();
    expect(a.messages.slice(before)).toMatchObject([
      {
        kind: 'delta',
        revision: await store.currentRevision(),
        upsertedEntries: [{ id: 'new' }],
        removedEntryIds: ['gone'],
      },
    ]);
    expect([...a.entries.keys()]).toEqual(['old', 'new']);
  });

  it('that is up to date is told so', async () => {
    const a = watch(A);
    await settle();
    a.close();
    const before = a.messages.length;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
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
      streams.stop();
      streams = new WatchStreams({ graph, logId: store.logId, trustDomain, clock, log: silentLogger });
      await create('x', exampleEntry({ parent: '/spire/agent/x/b' }));
      revision = 0.5;
    }
    const a = new WatchingAgent(A);
    a.logId = logId ?? store.logId;
    a.revision = revision;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
  });

  it('from before the node was deleted and attested again gets a snapshot', async () => {
    await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    const a = watch(A);
    await settle();
    await store.write(({ nodes }) => nodes.delete(A));
    expect(a.ended).toMatchObject({ reason: 'agent_not_attested' });
    await store.write(({ entries }) => entries.delete('a'));
    await put(node(A));
    const before = a.messages.length;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    await settle();
    expect(a.messages.slice(before).map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect(a.entries.size).toBe(0);
  });
});

describe('a stream ends', () => {
  it('at once when its agent is banned', async () => {
    const [a, b] = [watch(A), watch(B)];
    await put(node(A, { isBanned: true, serialNumber: undefined }));
    expect(a.ended).toMatchObject({ reason: 'agent_banned' });
    expect(b.ended).toBeUndefined();
    const before = a.messages.length;
    await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages.length).toBe(before);
    expect(streams.size).toBe(1);
  });

  it('at once when its agent is deleted, even while it waits for a slow reader', async () => {
    const a = watch(A);
    await settle();
    a.pause();
    await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await store.write(({ nodes }) => nodes.delete(A));
    expect(a.ended).toMatchObject({ reason: 'agent_not_attested' });
    const before = a.messages.length;
    await a.resume();
    expect(a.messages.length).toBe(before);
  });

  it('when the SVID that opened it expires, and not before', async () => {
    const a = watch(A);
    await clock.advance(HOUR - 1);
    expect(a.ended).toBeUndefined();
    await clock.advance(1);
    expect(a.ended).toMatchObject({ reason: 'agent_expired' });
    expect(clock.pendingTimers).toBe(0);
  });

  it('when the node has moved on to a newer SVID, but not while both are current', async () => {
    const a = watch(A);
    await put(node(A, { nextSerialNumber: 'b2' }));
    expect(a.ended).toBeUndefined();
    await put(node(A, { serialNumber: 'b2' }));
    expect(a.ended).toMatchObject({ reason: 'aborted' });
  });

  it('when it acknowledges what was never sent', async () => {
    const a = watch(A);
    await settle();
    a.acknowledge(a.revision + 1);
    expect(a.ended).toMatchObject({ reason: 'invalid_argument' });
  });

  it('quietly when its transport fails', async () => {
    const a = watch(A);
    await settle();
    a.breakTransport();
    await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect(streams.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('when the server stops', async () => {
    const a = watch(A);
    streams.stop();
    expect(a.ended).toMatchObject({ reason: 'unavailable' });
    expect(() => watch(A)).toThrow(expect.objectContaining({ reason: 'unavailable' }));
    await settle();
  });
});

describe('a cursor that names a commit', () => {
  it('which this log does not have, though it has the revision, gets a snapshot', async () => {
    await create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    const a = watch(A);
    await settle();
    a.close();
    expect(a.logId).toBe(`${store.logId}/${graph.position.nonce}`);
    a.logId = `${store.logId}/restoredElse`;
    a.messages.length = 0;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
  });

  it('of a server which is ahead waits until this one has caught up, and gets no older state meanwhile', async () => {
    const a = watch(A);
    await settle();
    a.close();
    a.revision += 2;
    a.logId = `${store.logId}/notYetSeen`;
    a.messages.length = 0;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    await create('one', exampleEntry({ path: '/one', parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages).toEqual([]);
    await create('two', exampleEntry({ path: '/two', parent: '/spire/agent/x/a' }));
    await settle();
    // The commit turned out to be another one.
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect([...a.entries.keys()].sort()).toEqual(['one', 'two']);
  });

  it('of a future that does not come gets a snapshot after a while', async () => {
    const a = new WatchingAgent(A);
    a.logId = `${store.logId}/future`;
    a.revision = Number.MAX_SAFE_INTEGER;
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    a.acknowledge(1_000);
    expect(a.ended).toMatchObject({ reason: 'invalid_argument' });
    a.connect(streams, new Date(clock.now().getTime() + HOUR));
    await settle();
    expect(a.messages).toEqual([]);
    await clock.advance(5_000);
    expect(a.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
    expect(a.revision).toBe(graph.revision);
  });
});

describe('when the server stops', () => {
  it('asks its agents to leave, waits until they have, and lets none in', async () => {
    const [a, b] = [watch(A), watch(B)];
    await settle();
    const drained = streams.drain(5_000);
    await settle();
    expect([a, b].map((agent) => agent.messages.at(-1))).toEqual([
      { kind: 'drain', spreadMs: 5_000 },
      { kind: 'drain', spreadMs: 5_000 },
    ]);
    expect(() => watch(A)).toThrow(expect.objectContaining({ reason: 'unavailable' }));
    // Changes still arrive until the agent has left.
    await create('late', exampleEntry({ path: '/late', parent: '/spire/agent/x/b' }));
    await settle();
    expect([...b.entries.keys()]).toEqual(['late']);
    a.close();
    b.close();
    await drained;
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits no longer than the spread and a moment for those that stay', async () => {
    watch(A);
    await settle();
    let isDrained = false;
    const drained = streams.drain(5_000).then(() => (isDrained = true));
    await clock.advance(5_999);
    expect(isDrained).toBe(false);
    await clock.advance(1);
    await drained;
    streams.stop();
  });

  it('does not wait at all when nobody is there, or when told so', async () => {
    await streams.drain(5_000);
    await streams.drain(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('asks those first that wait for a snapshot', async () => {
    const admission = new SnapshotAdmission({ atOnce: 1 });
    const occupied = admission.request();
    streams.stop();
    streams = new WatchStreams({
      graph,
      logId: store.logId,
      trustDomain,
      clock,
      log: silentLogger,
      admission,
    });
    const a = watch(A);
    await settle();
    expect(a.messages).toEqual([]);
    const drained = streams.drain(5_000);
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['drain']);
    occupied.leave();
    await settle();
    expect(a.messages.map(({ kind }) => kind)).toEqual(['drain', 'snapshot_page']);
    await clock.advance(6_000);
    await drained;
  });
});

it('ends a stream whose reader does not take a page of its snapshot, and gives its place to the next', async () => {
  const admission = new SnapshotAdmission({ atOnce: 1 });
  streams.stop();
  streams = new WatchStreams({ graph, logId: store.logId, trustDomain, clock, log: silentLogger, admission });
  const a = new WatchingAgent(A);
  a.pause();
  a.connect(streams, new Date(clock.now().getTime() + HOUR));
  const b = watch(B);
  await settle();
  expect(b.messages).toEqual([]);
  await clock.advance(30_000);
  expect(a.ended).toMatchObject({ reason: 'unavailable' });
  await a.resume(); // as when its connection is cut
  await settle();
  expect(b.messages.map(({ kind }) => kind)).toEqual(['snapshot_page']);
});

it('tells a quiet agent of the newest revision now and then', async () => {
  const b = watch(B);
  await settle();
  for (let index = 0; index < 1001; index += 1) {
    await store.write(({ joinTokens }) => joinTokens.deleteExpired(clock.now()));
  }
  await settle();
  expect(b.revision).toBeGreaterThanOrEqual(1000);
});
