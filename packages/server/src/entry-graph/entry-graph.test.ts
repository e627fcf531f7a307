import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { EntryGraph } from './entry-graph.js';
import type { GraphChange } from './graph-change.js';

const trustDomain = exampleTrustDomain('example.org');
const id = (path: string): SpiffeId => spiffeIdFromParts(trustDomain, path);
const A = id('/spire/agent/x/a');
const B = id('/spire/agent/x/b');

let clock: FakeClock;
let store: Store;
let graph: EntryGraph;

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  await store.write(async ({ nodes }) => {
    await nodes.put(exampleNode({ agentId: A, selectors: ['n:a:1', 'n:b:1'].map(parseSelector) }));
    await nodes.put(exampleNode({ agentId: B, selectors: ['n:a:1'].map(parseSelector) }));
  });
  graph = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
});

afterEach(async () => {
  graph.stop();
  await store.close();
});

async function create(entries: Readonly<Record<string, RegistrationEntryContent>>): Promise<void> {
  await store.write(async (transaction) => {
    for (const [entryId, content] of Object.entries(entries)) {
      await transaction.entries.create(content, { id: entryId, createdAt: clock.now() });
    }
  });
}

function idsOf(agentId: SpiffeId): readonly string[] {
  return graph
    .authorizedEntries(agentId)
    .map((entry) => entry.id)
    .sort();
}

describe('an agent may hold', () => {
  it('what hangs under its ID, under its aliases, and under those in turn; not the aliases', async () => {
    await create({
      direct: exampleEntry({ path: '/direct', parent: '/spire/agent/x/a' }),
      nested: exampleEntry({ path: '/nested', parent: '/direct' }),
      both: exampleEntry({ path: '/both', parent: '/spire/server', selectors: ['n:a:1', 'n:b:1'] }),
      one: exampleEntry({ path: '/one', parent: '/spire/server', selectors: ['n:a:1'] }),
      underBoth: exampleEntry({ path: '/u1', parent: '/both' }),
      underOne: exampleEntry({ path: '/u2', parent: '/one' }),
      deep: exampleEntry({ path: '/u3', parent: '/u2' }),
      orphan: exampleEntry({ path: '/orphan', parent: '/nobody' }),
    });
    expect(idsOf(A)).toEqual(['deep', 'direct', 'nested', 'underBoth', 'underOne']);
    expect(idsOf(B)).toEqual(['deep', 'underOne']);
    expect(graph.authorizedEntry(B, 'underBoth')).toBeUndefined();
    expect(graph.authorizedEntry(B, 'deep')?.id).toBe('deep');
    expect(graph.authorizedEntry(A, 'both')).toBeUndefined();
    const alias = graph.entry('both');
    expect(alias === undefined ? [] : graph.affectedAgents(alias)).toEqual([A]);
  });

  it('entries that hang in a circle, without walking it for ever', async () => {
    await create({
      self: exampleEntry({ path: '/self', parent: '/self' }),
      x: exampleEntry({ path: '/x', parent: '/y' }),
      y: exampleEntry({ path: '/y', parent: '/x' }),
    });
    expect(idsOf(A)).toEqual([]);
    await create({ way: exampleEntry({ path: '/y', parent: '/spire/agent/x/a' }) });
    expect(idsOf(A)).toEqual(['way', 'x', 'y']);
    expect(graph.authorizedEntry(A, 'self')).toBeUndefined();
    expect(graph.authorizedEntry(A, 'x')?.id).toBe('x');
  });

  it('nothing that has expired, nor what hangs under it', async () => {
    const expiresAt = new Date(clock.now().getTime() + 60_000);
    await create({
      middle: { ...exampleEntry({ path: '/middle', parent: '/spire/agent/x/a' }), expiresAt },
      leaf: exampleEntry({ path: '/leaf', parent: '/middle' }),
      alias: { ...exampleEntry({ path: '/all', parent: '/spire/server', selectors: ['n:a:1'] }), expiresAt },
      web: exampleEntry({ path: '/web', parent: '/all' }),
    });
    expect(graph.earliestExpiry()).toEqual(expiresAt);
    expect(idsOf(A)).toEqual(['leaf', 'middle', 'web']);
    await clock.advance(60_000);
    expect(idsOf(A)).toEqual([]);
    for (const entryId of ['middle', 'leaf', 'web']) {
      expect(graph.authorizedEntry(A, entryId)).toBeUndefined();
    }
    await store.write(async ({ entries }) => {
      await entries.delete('middle');
      await entries.delete('alias');
    });
    expect(graph.earliestExpiry()).toBeUndefined();
  });

  it('nothing while it is banned or not attested', async () => {
    await create({ direct: exampleEntry({ path: '/direct', parent: '/spire/agent/x/a' }) });
    await store.write(({ nodes }) => nodes.put(exampleNode({ agentId: A, isBanned: true })));
    expect(idsOf(A)).toEqual([]);
    expect(graph.authorizedEntry(A, 'direct')).toBeUndefined();
    await store.write(({ nodes }) => nodes.delete(A));
    expect(idsOf(A)).toEqual([]);
    expect(graph.node(A)).toBeUndefined();
  });
});

describe('a change', () => {
  it('is told with exactly the agents it may concern', async () => {
    const heard: GraphChange[] = [];
    await create({
      both: exampleEntry({ path: '/both', parent: '/spire/server', selectors: ['n:a:1', 'n:b:1'] }),
      all: exampleEntry({ path: '/all', parent: '/spire/server', selectors: ['n:a:1'] }),
    });
    const unsubscribe = graph.subscribe((change) => void heard.push(change));
    await create({
      one: exampleEntry({ path: '/one', parent: '/both' }),
      two: exampleEntry({ path: '/two', parent: '/both' }),
      every: exampleEntry({ path: '/every', parent: '/all' }),
      orphan: exampleEntry({ path: '/orphan', parent: '/nobody' }),
    });
    expect(heard.splice(0)).toEqual([
      {
        revision: 3,
        commits: [await store.position()],
        isReload: false,
        reaches: [
          { agents: [A], entryIds: ['one', 'two'], trustDomains: [] },
          { agents: [A, B], entryIds: ['every'], trustDomains: [] },
        ],
        nodes: [],
        resets: [],
        bundles: [],
      },
    ]);
    await store.write(({ bundles }) => bundles.put(exampleBundle('other.example')));
    expect(heard.splice(0)).toMatchObject([{ reaches: [], bundles: ['other.example'] }]);
    expect(graph.bundle(exampleTrustDomain('other.example'))?.sequenceNumber).toBe(1);
    unsubscribe();
    await store.write(({ entries }) => entries.delete('one'));
    expect(heard).toEqual([]);
    expect(graph.revision).toBe(5);
  });

  it('finds its agents anew when the same transaction moves the way to them', async () => {
    await create({ child: exampleEntry({ path: '/child', parent: '/way' }) });
    const heard: GraphChange[] = [];
    graph.subscribe((change) => void heard.push(change));
    await store.write(async ({ entries }) => {
      await entries.delete('child');
      const options = { createdAt: clock.now() };
      await entries.create(exampleEntry({ path: '/way', parent: '/spire/agent/x/b' }), {
        ...options,
        id: 'way',
      });
      await entries.create(exampleEntry({ path: '/child2', parent: '/way' }), { ...options, id: 'child2' });
    });
    expect(idsOf(B)).toEqual(['child2', 'way']);
    const told = heard.flatMap(({ reaches }) => reaches).filter(({ agents }) => agents.includes(B));
    expect(new Set(told.flatMap(({ entryIds }) => entryIds))).toEqual(new Set(['way', 'child2']));
  });

  it('is seen by whoever waited for the write', async () => {
    const [outcome] = await Promise.all([
      store
        .write(({ entries }) =>
          entries.create(exampleEntry({ parent: '/spire/agent/x/a' }), { id: 'a', createdAt: clock.now() }),
        )
        .then(() => graph.authorizedEntry(A, 'a')?.id),
    ]);
    expect(outcome).toBe('a');
  });
});

describe('a trust domain', () => {
  it('is followed by the agents that hold an entry which names it now; our own by all', async () => {
    const other = exampleTrustDomain('other.example');
    await store.write(({ bundles }) => bundles.put(exampleBundle(other)));
    const federatesWith = [other];
    const expiresAt = new Date(clock.now().getTime() + 60_000);
    expect(graph.agentsFollowing(other)).toEqual([]);
    await create({
      alias: exampleEntry({ path: '/all', parent: '/spire/server', selectors: ['n:a:1'] }),
      middle: { ...exampleEntry({ path: '/middle', parent: '/all' }), expiresAt },
      below: { ...exampleEntry({ path: '/below', parent: '/middle' }), federatesWith },
      direct: { ...exampleEntry({ path: '/direct', parent: '/spire/agent/x/b' }), federatesWith },
      orphan: { ...exampleEntry({ path: '/orphan', parent: '/nobody' }), federatesWith },
    });
    expect([...graph.agentsFollowing(other)].sort()).toEqual([A, B]);
    await clock.advance(60_000);
    expect(graph.agentsFollowing(other)).toEqual([B]);
    await store.write(({ nodes }) => nodes.put(exampleNode({ agentId: B, isBanned: true })));
    expect(graph.agentsFollowing(other)).toEqual([]);
    expect(graph.agentsFollowing(trustDomain)).toEqual([A, B]);
  });
});

describe('loading', () => {
  it('misses nothing that is written meanwhile', async () => {
    const writes = Array.from({ length: 20 }, (_, index) =>
      create({ [`e${index}`]: exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' }) }),
    );
    const loaded = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
    await Promise.all(writes);
    expect(loaded.size.entries).toBe(20);
    expect(loaded.revision).toBe(21);
    expect(loaded.entriesWithSpiffeId(id('/w7')).map((entry) => entry.id)).toEqual(['e7']);
    loaded.stop();
  });

  it('reads again what it could not read when it was written', async () => {
    let isBroken = false;
    const shaky: Store = {
      ...store,
      logId: store.logId,
      nodes: store.nodes,
      nodeProofs: store.nodeProofs,
      bundles: store.bundles,
      currentRevision: () => store.currentRevision(),
      position: () => store.position(),
      subscribe: (listener) => store.subscribe(listener),
      entries: Object.assign(Object.create(store.entries) as Store['entries'], {
        all: () => store.entries.all(),
        getMany: (ids: readonly string[]) =>
          isBroken
            ? Promise.reject(new BonafideError('unavailable', 'the disk is gone'))
            : store.entries.getMany(ids),
      }),
    };
    const loaded = await EntryGraph.load({ store: shaky, trustDomain, clock, log: silentLogger });
    isBroken = true;
    await create({ a: exampleEntry({ path: '/a', parent: '/spire/agent/x/a' }) });
    expect(loaded.entry('a')).toBeUndefined();
    isBroken = false;
    await clock.advance(1000);
    expect(loaded.authorizedEntry(A, 'a')?.id).toBe('a');
    expect(loaded.revision).toBe(2);
    loaded.stop();
  });
});
