import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AgentRevisions } from '../delivery/agent-revisions.js';
import { ConcernedAgents } from '../delivery/concerned-agents.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { AttestedNode } from '../store/node-record.js';
import type { Store } from '../store/store.js';
import { EntryExplanations, type EntryExplanation } from './entry-explanations.js';

const trustDomain = exampleTrustDomain('example.org');
const NODE = exampleNode().agentId;
const OTHER = parseSpiffeId('spiffe://example.org/spire/agent/x/other');

let clock: FakeClock;
let store: Store;
let graph: EntryGraph;
let receipts: AgentRevisions;
let concerned: ConcernedAgents;
let explanations: EntryExplanations;

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  graph = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
  receipts = new AgentRevisions({ clock, isAttested: () => true });
  concerned = new ConcernedAgents(graph, trustDomain);
  explanations = new EntryExplanations({ store, graph, receipts, concerned, trustDomain, clock });
});

afterEach(async () => {
  concerned.stop();
  graph.stop();
  await store.close();
});

/** @returns the revision. */
function attest(agentId: SpiffeId, changes: Partial<AttestedNode> = {}): Promise<number> {
  return store.write(async ({ nodes, revision }) => {
    await nodes.put(exampleNode({ agentId, expiresAt: inMs(3_600_000), ...changes }));
    return revision;
  });
}

function register(
  id: string,
  example: Parameters<typeof exampleEntry>[0],
  changes: Partial<RegistrationEntryContent> = {},
): Promise<number> {
  return store.write(async ({ entries, revision }) => {
    const content = { ...exampleEntry(example), ...changes };
    await entries.create(content, { id, createdAt: clock.now() });
    return revision;
  });
}

function inMs(ms: number): Date {
  return new Date(clock.now().getTime() + ms);
}

async function statesOf(entryId: string): Promise<readonly (readonly [SpiffeId, string])[]> {
  const { agents } = await explanations.ofEntry(entryId);
  return agents.map(({ agentId, state }) => [agentId, state]);
}

it.each<[string, Partial<AttestedNode>]>([
  ['banned', { isBanned: true }],
  ['in quarantine', { quarantine: { since: new Date(0), findings: [] } }],
])('does not count an agent that is %s among those that may serve it, and names it', async (_, changes) => {
  await attest(NODE, changes);
  await register('web', {});
  const explained = await explanations.ofEntry('web');
  expect(explained.parent.node).toMatchObject(changes);
  expect(explained.agentCount).toBe(0);
  expect(await statesOf('web')).toEqual([[NODE, 'withheld']]);
});

it('of an agent whose own SVID has ended tells when', async () => {
  const ended = inMs(-1000);
  await attest(NODE, { expiresAt: ended });
  await register('web', {});
  const explained = await explanations.ofEntry('web');
  expect(explained.parent.node?.expiresAt).toEqual(ended);
  expect(await statesOf('web')).toEqual([[NODE, 'away']]);
});

it('tells that the entry has expired, or one above it, and that nobody may serve it', async () => {
  await attest(NODE);
  const expiresAt = inMs(1000);
  await register('above', { path: '/above' }, { expiresAt });
  await register('below', { path: '/below', parent: '/above' });
  await clock.advance(2000);
  expect(await explanations.ofEntry('above')).toMatchObject({ isExpired: true, agentCount: 0 });
  const below = await explanations.ofEntry('below');
  expect(below).toMatchObject({
    isExpired: false,
    agentCount: 0,
    parent: { entries: [{ isExpired: true }] },
  });
});

it('names the nodes that lack the least of an alias that no node has', async () => {
  await attest(NODE, { selectors: ['a:1', 'a:2'].map(parseSelector) });
  await attest(OTHER, { selectors: ['a:1'].map(parseSelector) });
  await register('alias', { path: '/nodes', parent: '/spire/server', selectors: ['a:1', 'a:2', 'a:3'] });
  await register('web', { parent: '/nodes' });
  const { parent } = await explanations.ofEntry('web');
  expect(parent.node).toBeUndefined();
  expect(parent.entries[0]?.near.map(({ agentId, missing }) => [agentId, missing.length])).toEqual([
    [NODE, 1],
    [OTHER, 2],
  ]);
});

it('says that there is nothing to hang under', async () => {
  await register('web', { parent: '/nowhere' });
  expect(await explanations.ofEntry('web')).toMatchObject({
    agentCount: 0,
    parent: { node: undefined, entries: [] },
  });
});

it('tells who holds it, does not hold it yet, and is not connected', async () => {
  await attest(NODE);
  await attest(OTHER);
  const third = parseSpiffeId('spiffe://example.org/spire/agent/x/third');
  await attest(third);
  for (const [index, parentId] of [NODE, OTHER, third].entries()) {
    await register(`way${index}`, { path: '/group', selectors: ['unix:uid:0'] }, { parentId });
  }
  const before = graph.revision;
  const revision = await register('web', { parent: '/group' });
  receipts.streamOpened(NODE, before);
  receipts.streamOpened(OTHER, before);
  expect(await statesOf('web')).toEqual([
    [NODE, 'not_yet'],
    [OTHER, 'not_yet'],
    [third, 'away'],
  ]);
  receipts.acknowledged(NODE, revision);
  expect(await statesOf('web')).toEqual([
    [OTHER, 'not_yet'],
    [third, 'away'],
    [NODE, 'holds'],
  ]);
});

it('looks at changes far above the entry, and only at those that concern the agent', async () => {
  await attest(NODE);
  await attest(OTHER);
  await register('web', { parent: '/middle' });
  await register('middle', { path: '/middle', parent: '/top' });
  const mine = await register('top', { path: '/top' });
  receipts.streamOpened(NODE, mine);
  expect(await statesOf('web')).toEqual([[NODE, 'holds']]);

  const others = await register('other', { path: '/top' }, { parentId: OTHER });
  receipts.streamOpened(OTHER, mine);
  expect(await statesOf('web')).toEqual([
    [OTHER, 'not_yet'],
    [NODE, 'holds'],
  ]);
  receipts.acknowledged(OTHER, others);
  expect((await statesOf('web')).map(([, state]) => state)).toEqual(['holds', 'holds']);

  await store.write(({ entries }) =>
    entries.update('middle', { ...exampleEntry({ path: '/middle', parent: '/top' }), hint: 'x' }),
  );
  expect((await statesOf('web')).map(([, state]) => state)).toEqual(['not_yet', 'not_yet']);
});

it('finds the other entries that the same processes earn', async () => {
  await attest(NODE);
  await register('web', { selectors: ['unix:uid:1', 'unix:gid:1'] }, { hint: 'one' });
  await clock.advance(1000);
  await register('twice', { selectors: ['unix:uid:1'] });
  await register('more', { path: '/more', selectors: ['unix:gid:1'] });
  await register('shadowed', { path: '/shadowed', selectors: ['unix:uid:1'] }, { hint: 'one' });
  await register('elsewhere', { path: '/elsewhere', selectors: ['unix:uid:2'] });
  const { related } = await explanations.ofEntry('web');
  expect(related.map(({ kind, entry, servedEntryId }) => [entry.id, kind, servedEntryId]).sort()).toEqual([
    ['more', 'also_gives', undefined],
    ['shadowed', 'same_hint', 'web'],
    ['twice', 'duplicate', undefined],
  ]);
});

it('tells of each selector who presented it last', async () => {
  await attest(NODE);
  await register('web', { selectors: ['unix:uid:1', 'unix:gid:1'] });
  await store.selectorSightings.note(['unix:uid:1'], NODE, new Date(3_600_000));
  const explained: EntryExplanation = await explanations.ofEntry('web');
  expect(explained.selectors.map(({ selector, sighting }) => [selector.value, sighting?.agentId])).toEqual([
    ['gid:1', undefined],
    ['uid:1', NODE],
  ]);
});

it('is refused for an entry that is not there', async () => {
  await expect(explanations.ofEntry('none')).rejects.toMatchObject({ reason: 'not_found' });
  await expect(explanations.ofSpiffeId(NODE)).rejects.toMatchObject({ reason: 'not_found' });
});
