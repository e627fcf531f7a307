/** Files of entries that members of a role plan and apply, and what entry explain tells them. */
import { callUnary, openBidiStream, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { EntryPlanRequest } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanRequest';
import type { EntryPlanResponse__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanResponse';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CONFIG, ENTRY, entryOf, opsOf, own, register, type Registered } from './scoped-admins.js';
import { InProcessServer, type Attested } from './server-in-process.js';

let server: InProcessServer;
let registered: Registered;
let ops: Attested;

beforeAll(async () => {
  server = await InProcessServer.start({ config: CONFIG });
  registered = await register(server);
  ops = await server.mint(opsOf('alder'));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function apply(request: EntryPlanRequest): Promise<readonly EntryPlanResponse__Output[]> {
  const client = await server.remote('bonafide.entry.v1.EntryPlan', ops);
  const stream = openBidiStream(client, 'ApplyEntries', { deadlineMs: 60_000 });
  await stream.send(request);
  stream.end();
  const answers: EntryPlanResponse__Output[] = [];
  for await (const answer of stream.messages) answers.push(answer);
  return answers;
}

async function registry(): Promise<readonly string[]> {
  const { entries } = await callUnary(server.local(ENTRY), 'ListEntries', {});
  return entries.map(({ id, hint, admin }) => `${id} ${hint} ${admin}`);
}

it('changes and makes entries of its own', async () => {
  const [answer] = await apply({
    terms: { spiffeIdPrefix: '' },
    entries: [
      entryOf('alder', 'web-1', { id: 'alder-entry-1', hint: 'planned' }),
      entryOf('alder', 'planned'),
    ],
  });
  expect(answer?.summary).toMatchObject({ created: 1, updated: 1, refused: 0 });
  expect(answer?.summary?.appliedRevision).toBeGreaterThan(0);
  expect(await registry()).toContain('alder-entry-1 planned false');
});

it.each<[string, object]>([
  ['an entry of others', entryOf('birch', 'web-1')],
  ["the ID of others' entry", entryOf('alder', 'x', { id: 'birch-entry-1' })],
  ['an admin entry', entryOf('alder', 'x', { admin: true })],
  ['a downstream entry', entryOf('alder', 'x', { downstream: true })],
  ['an admin in place of its own entry', entryOf('alder', 'web-1', { id: 'alder-entry-1', admin: true })],
  ['the ID of an admin', entryOf('alder', 'chief')],
  ['a parent of others', entryOf('alder', 'x', { parentId: own('/birch/nodes') })],
  ['an unknown federated trust domain', entryOf('alder', 'x', { federatesWith: ['elsewhere.example'] })],
])('applies nothing with %s in it', async (_what, entry) => {
  const before = await registry();
  const answers = await apply({ terms: { spiffeIdPrefix: '' }, entries: [entryOf('alder', 'fine'), entry] });
  expect(answers[0]?.summary).toMatchObject({ refused: 1, appliedRevision: 0 });
  const refused = answers.flatMap((answer) => answer.refused);
  expect(refused).toEqual([{ index: 1, message: expect.stringMatching(/role|admin|begin with/) as unknown }]);
  expect(await registry()).toEqual(before);
});

it('prunes nothing that it could not have made, and nothing of others', async () => {
  const before = await registry();
  // The alias of its nodes is among what it sees, and not among what it may make.
  const everything = { terms: { spiffeIdPrefix: 'spiffe://example.org/alder', prune: true }, entries: [] };
  await expect(apply(everything)).rejects.toMatchObject({ reason: 'permission_denied' });
  expect(await registry()).toEqual(before);
  const others = { terms: { spiffeIdPrefix: 'spiffe://example.org/birch', prune: true }, entries: [] };
  expect((await apply(others))[0]?.summary).toMatchObject({ deleted: 0, unlisted: 0, appliedRevision: 0 });
  const one = { terms: { spiffeIdPrefix: 'spiffe://example.org/alder/web-3', prune: true }, entries: [] };
  expect((await apply(one))[0]?.summary).toMatchObject({ deleted: 1 });
  expect(await registry()).toEqual(before.filter((text) => !text.startsWith('alder-entry-3 ')));
});

it('is told of an entry what the role covers: its own agents, and no entry of others on the same node', async () => {
  // By an operator: the same processes of the node earn an identity of the other team, too.
  const shared = [
    entryOf('birch', 'beside', {
      parentId: own('/alder/nodes'),
      selectors: [{ type: 'k8s', value: 'ns:alder' }],
    }),
  ];
  await callUnary(server.local(ENTRY), 'BatchCreateEntry', { entries: shared });
  const client = await server.remote('bonafide.entry.v1.EntryExplanation', ops);
  const told = await callUnary(client, 'ExplainEntry', { entryId: 'alder-entry-1' });
  expect(told.entries[0]?.agents.map(({ agentId }) => agentId)).toEqual([registered.agents.alder.spiffeId]);
  expect(JSON.stringify(told)).not.toContain('birch');
  const operator = server.local('bonafide.entry.v1.EntryExplanation');
  expect(JSON.stringify(await callUnary(operator, 'ExplainEntry', { entryId: 'alder-entry-1' }))).toContain(
    '/birch/beside',
  );
  for (const entryId of ['birch-entry-1', 'none']) {
    await expect(callUnary(client, 'ExplainEntry', { entryId })).rejects.toMatchObject({
      reason: 'not_found',
      message: `there is no entry ${entryId}`,
    });
  }
});

it('waits for the delivery of its changes to the agents of its role, and hears of no others', async () => {
  const [answer] = await apply({ terms: { spiffeIdPrefix: '' }, entries: [entryOf('alder', 'delivered')] });
  const revision = answer?.summary?.appliedRevision ?? 0;
  const { results } = await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
    entries: [entryOf('birch', 'delivered')],
  });
  expect(results[0]?.status?.code).toBe(0);
  const reader = await server.mint('spiffe://example.org/alder/reader');
  const heard = async (of: number, member?: Attested): Promise<readonly string[]> => {
    const service = 'bonafide.sync.v1.Delivery';
    const delivery = member === undefined ? server.local(service) : await server.remote(service, member);
    const agents: string[] = [];
    const wait = openServerStream(delivery, 'WaitForDelivery', { revision: of, timeoutMs: 0 });
    for await (const progress of wait) agents.push(...progress.agents.map(({ agentId }) => agentId));
    return agents;
  };
  const { alder, birch } = registered.agents;
  expect(await heard(revision, ops)).toEqual([alder.spiffeId]);
  expect(await heard(revision + 1)).toEqual([birch.spiffeId]);
  expect(await heard(revision + 1, ops)).toEqual([]);
  await expect(heard(revision, reader)).rejects.toMatchObject({ reason: 'permission_denied' });
});
