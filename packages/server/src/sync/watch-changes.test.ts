import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleBundle, exampleEntry } from '../store/example-records.js';
import { settle, WatchingAgent } from './watching-agent.js';
import { A, agentNamed, B, trustDomain, WatchedRegistry } from './watched-registry.js';

let registry: WatchedRegistry<FakeClock>;

beforeEach(async () => {
  registry = await WatchedRegistry.open(new FakeClock());
});

afterEach(() => registry.close());

describe('a new stream', () => {
  it('begins with a snapshot of exactly what the agent may know, in pages', async () => {
    await registry.store.write(async ({ entries }) => {
      for (let index = 0; index < 1201; index += 1) {
        const content = exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' });
        await entries.create(content, { id: `e${index}`, createdAt: registry.clock.now() });
      }
      const foreign = exampleEntry({ path: '/other', parent: '/spire/agent/x/b' });
      await entries.create(foreign, { id: 'foreign', createdAt: registry.clock.now() });
    });
    const agent = registry.watch(A);
    await settle();
    expect(agent.messages.map((message) => message.kind)).toEqual([
      'snapshot_page',
      'snapshot_page',
      'snapshot_page',
    ]);
    expect(agent.entries.size).toBe(1201);
    expect(agent.entries.has('foreign')).toBe(false);
    expect([...agent.bundles.keys()]).toEqual(['example.org']);
    expect(agent.revision).toBe(await registry.store.currentRevision());
  });

  it('replaces the old one of the same agent', async () => {
    const old = registry.watch(A);
    const fresh = registry.watch(A);
    await settle();
    expect(old.ended).toMatchObject({ reason: 'aborted' });
    expect(fresh.ended).toBeUndefined();
    old.close();
    await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect([...fresh.entries.keys()]).toEqual(['a']);
    expect(registry.streams.size).toBe(1);
  });

  it('is refused to a node that is unknown, banned, or shows an SVID that is not its own or has expired', async () => {
    await registry.put(B, { isBanned: true, serialNumber: undefined });
    expect(() => registry.watch(agentNamed('none'))).toThrow(
      expect.objectContaining({ reason: 'agent_not_attested' }),
    );
    expect(() => registry.watch(B)).toThrow(expect.objectContaining({ reason: 'agent_banned' }));
    await registry.put(A, { serialNumber: 'other' });
    expect(() => registry.watch(A)).toThrow(expect.objectContaining({ reason: 'aborted' }));
    await registry.put(A);
    expect(() => {
      new WatchingAgent(A).connect(registry.streams, registry.clock.now());
    }).toThrow(expect.objectContaining({ reason: 'agent_expired' }));
  });
});

describe('a change', () => {
  it('is pushed to the agent it concerns and to no other, before anything else is asked of it', async () => {
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await settle();
    const before = b.messages.length;
    const revision = await registry.create('a', exampleEntry({ parent: '/spire/agent/x/a' }));
    await settle();
    expect(a.messages.at(-1)).toMatchObject({ kind: 'delta', revision, removedEntryIds: [] });
    expect([...a.entries.keys()]).toEqual(['a']);
    expect(b.messages.length).toBe(before);
  });

  it('of a parent moves what hangs under it', async () => {
    const [a, b] = [registry.watch(A), registry.watch(B)];
    await registry.create('middle', exampleEntry({ path: '/middle', parent: '/spire/agent/x/a' }));
    await registry.create('leaf', exampleEntry({ path: '/leaf', parent: '/middle' }));
    await settle();
    expect([...a.entries.keys()]).toEqual(['middle', 'leaf']);
    await registry.store.write(({ entries }) =>
      entries.update('middle', exampleEntry({ path: '/middle', parent: '/spire/agent/x/b' })),
    );
    await settle();
    expect([...a.entries.keys()]).toEqual([]);
    expect([...b.entries.keys()].sort()).toEqual(['leaf', 'middle']);
  });

  it("of a node's selectors gives and takes what hangs under its aliases", async () => {
    await registry.create(
      'alias',
      exampleEntry({ path: '/prod', parent: '/spire/server', selectors: ['x:env:prod'] }),
    );
    await registry.create('web', exampleEntry({ path: '/web', parent: '/prod' }));
    const a = registry.watch(A);
    await settle();
    expect(a.entries.size).toBe(0);
    await registry.put(A, { selectors: [parseSelector('x:env:prod'), parseSelector('x:more:1')] });
    await settle();
    expect([...a.entries.keys()]).toEqual(['web']);
    await registry.put(A, { selectors: [parseSelector('x:more:1')] });
    await settle();
    expect(a.entries.size).toBe(0);
  });

  it('of a bundle reaches those whose entries name it, and the set follows the entries', async () => {
    const other = exampleBundle('other.example');
    await registry.store.write(({ bundles }) => bundles.put(other));
    const [a, b] = [registry.watch(A), registry.watch(B)];
    const content = exampleEntry({ parent: '/spire/agent/x/a' });
    await registry.create('a', { ...content, federatesWith: [other.trustDomain] });
    await settle();
    expect([...a.bundles.keys()].sort()).toEqual(['example.org', 'other.example']);
    await registry.store.write(({ bundles }) => bundles.put({ ...other, sequenceNumber: 2 }));
    await registry.store.write(({ bundles }) =>
      bundles.put({ ...exampleBundle('example.org'), sequenceNumber: 7 }),
    );
    await settle();
    expect(a.bundles.get(other.trustDomain)?.sequenceNumber).toBe(2);
    expect([a, b].map((agent) => agent.bundles.get(trustDomain)?.sequenceNumber)).toEqual([7, 7]);
    expect([...b.bundles.keys()]).toEqual(['example.org']);
    await registry.store.write(({ entries }) => entries.update('a', content));
    await settle();
    expect([...a.bundles.keys()]).toEqual(['example.org']);
  });

  it('waits while the reader does not read, and then comes once, as it is by then', async () => {
    const a = registry.watch(A);
    await settle();
    a.pause();
    for (let index = 0; index < 15; index += 1) {
      await registry.create(`e${index}`, exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' }));
    }
    for (let hint = 0; hint < 50; hint += 1) {
      await registry.store.write(({ entries }) =>
        entries.update('e7', {
          ...exampleEntry({ path: '/w7', parent: '/spire/agent/x/a' }),
          hint: String(hint),
        }),
      );
    }
    await registry.store.write(({ entries }) => entries.delete('e8'));
    await settle();
    const before = a.messages.length;
    await a.resume();
    // One message was under way when the reader stopped; one more says all the rest.
    expect(a.messages.length - before).toBeLessThanOrEqual(2);
    expect(a.entries.size).toBe(14);
    expect(a.entries.get('e7')?.hint).toBe('49');
  });

  it('that is too large to keep for a slow reader is told as a snapshot', async () => {
    const a = registry.watch(A);
    await settle();
    a.pause();
    await registry.create('first', exampleEntry({ path: '/first', parent: '/spire/agent/x/a' }));
    await settle(); // under way
    for (let index = 0; index < 22; index += 1) {
      await registry.create(`e${index}`, exampleEntry({ path: `/w${index}`, parent: '/spire/agent/x/a' }));
    }
    const before = a.messages.length;
    await a.resume();
    expect(a.messages.slice(before).map(({ kind }) => kind)).toEqual(['delta', 'snapshot_page']);
    expect(a.entries.size).toBe(23);
  });
});
