import { parseSelector } from '@bonafide/shared/registration/selector';
import { spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { EntryIndex } from '../entry-graph/entry-index.js';
import { NodeIndex } from '../entry-graph/node-index.js';
import { Standings } from '../entry-graph/standing.js';
import { compactEntry, exampleEntry, exampleNode } from '../store/example-records.js';
import { WorkloadExplanations, type Disclosure, type WorkloadQuestion } from './workload-explanations.js';

const SERVER = spiffeIdFromParts('example.org', '/spire/server');
const [OURS, THEIRS] = ['/spire/agent/x/1', '/spire/agent/x/2'] as const;
const agentId = spiffeIdFromParts('example.org', OURS);
const NOW = new Date('2030-01-01T00:00:00Z');
const PAST = new Date('2029-12-31T00:00:00Z');

interface Given {
  readonly id: string;
  readonly parent: string;
  readonly selectors?: readonly string[];
  readonly path?: string;
  readonly expiresAt?: Date;
  readonly storesSvid?: boolean;
}

function setUp(given: readonly Given[], disclosure: Disclosure = 'reasons') {
  const clock = new FakeClock(NOW);
  const entries = new EntryIndex(SERVER);
  const nodes = new NodeIndex();
  for (const path of [OURS, THEIRS]) {
    nodes.put(exampleNode({ agentId: spiffeIdFromParts('example.org', path), selectors: [] }));
  }
  for (const { id, parent, path = `/${id}`, selectors = ['unix:uid:1'], ...rest } of given) {
    const entry = exampleEntry({ path, parent, selectors });
    entries.put(compactEntry({ ...entry, ...rest, id, revisionNumber: 0, createdAt: PAST }));
  }
  const explanations = new WorkloadExplanations({
    graph: {
      revision: 7,
      entriesAt: (from, places) => entries.stretch(from, places),
      standings: (of) => new Standings(entries, nodes, of, clock.now().getTime()),
    },
    receipts: { stateOf: () => ({ kind: 'connected', appliedRevision: 5 }) },
    disclosure: () => disclosure,
    clock,
  });
  const ask = (more: Partial<WorkloadQuestion> = {}) =>
    explanations.account({
      agentId,
      selectors: ['unix:uid:1', 'unix:gid:1'].map(parseSelector),
      heldEntryIds: new Set(),
      signal: new AbortController().signal,
      ...more,
    });
  return { ask };
}

describe('WorkloadExplanations', () => {
  it('says of each entry that the workload would match what keeps it away, what it should have first', async () => {
    const { ask } = setUp([
      { id: 'theirs', parent: THEIRS },
      { id: 'alias', parent: '/spire/server' },
      { id: 'nowhere', parent: '/misspelt' },
      { id: 'store', parent: OURS, storesSvid: true },
      { id: 'above', parent: OURS, path: '/above', selectors: ['unix:uid:2'], expiresAt: PAST },
      { id: 'below', parent: '/above' },
      { id: 'ended', parent: OURS, expiresAt: PAST },
      { id: 'coming', parent: OURS, selectors: ['unix:uid:1', 'unix:gid:1'] },
      { id: 'held', parent: OURS },
      { id: 'another', parent: OURS, selectors: ['unix:uid:1', 'unix:gid:2'] },
    ]);
    const account = await ask({ heldEntryIds: new Set(['held']) });
    expect(account.entries.map(({ entryId, standing }) => [entryId, standing])).toEqual([
      ['coming', 'authorized'],
      ['ended', 'expired'],
      ['below', 'parent_expired'],
      ['store', 'stores_svid'],
      ['nowhere', 'unknown_parent'],
      ['alias', 'node_alias'],
      ['theirs', 'other_parent'],
    ]);
    expect(account).toMatchObject({ revision: 7, acknowledgedRevision: 5, hasMore: false });
  });

  it.each([
    ['reasons', [true, false]],
    ['full', [true, true]],
  ] as const)('with %s, names what is the agent’s own, and what is not: %j', async (disclosure, named) => {
    const given = [
      { id: 'coming', parent: OURS },
      { id: 'theirs', parent: THEIRS },
    ];
    const { entries } = await setUp(given, disclosure).ask();
    expect(entries.map(({ names }) => names !== undefined)).toEqual(named);
  });

  it('says nothing when agents are to be told nothing', async () => {
    const { ask } = setUp([{ id: 'coming', parent: OURS }], 'none');
    await expect(ask()).rejects.toMatchObject({ reason: 'permission_denied' });
  });

  it('finds the one that matters among thousands, and says that there are more', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({ id: `e${index}`, parent: THEIRS }));
    const { ask } = setUp([...many, { id: 'coming', parent: OURS }]);
    const { entries, hasMore } = await ask();
    expect(entries).toHaveLength(20);
    expect(entries[0]?.entryId).toBe('coming');
    expect(hasMore).toBe(true);
  });

  it('serves one question at a time and few that wait, and stops when nobody listens any more', async () => {
    const { ask } = setUp([{ id: 'coming', parent: OURS }]);
    const asked = await Promise.allSettled(Array.from({ length: 20 }, () => ask()));
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(16);
    expect(asked.at(-1)).toMatchObject({ reason: { reason: 'resource_exhausted' } });
    await expect(ask({ signal: AbortSignal.abort() })).rejects.toMatchObject({ reason: 'cancelled' });
    expect((await ask()).entries).toHaveLength(1);
  });

  it('matches no entry without selectors, nor a workload without any', async () => {
    const { ask } = setUp([{ id: 'coming', parent: OURS }]);
    expect((await ask({ selectors: [] })).entries).toEqual([]);
  });
});
