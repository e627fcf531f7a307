/** What SPIRE's agents ask for their entries with, and what those may cost that do not behave. */
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { grpcFrame, RawHttp2Client } from './raw-http2-client.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const ENTRY = 'spire.api.server.entry.v1.Entry';
const { GetAuthorizedEntries } = loadService(ENTRY).definition;

async function createEntries(
  server: InProcessServer,
  agent: Attested,
  count: number,
  more: object = {},
): Promise<void> {
  for (let start = 0; start < count; start += 500) {
    await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
      entries: Array.from({ length: Math.min(500, count - start) }, (_, index) => ({
        spiffeId: { trustDomain: 'example.org', path: `/w/${start + index}` },
        parentId: { trustDomain: 'example.org', path: new URL(agent.spiffeId).pathname },
        selectors: [{ type: 'unix', value: `uid:${start + index}` }],
        ...more,
      })),
    });
  }
}

const inAMinute = (): number => Math.floor(Date.now() / 1000) + 60;

describe('GetAuthorizedEntries', () => {
  it("gives an agent all that is its own and nothing of others', with the fields of the mask and the ID", async () => {
    await using server = await InProcessServer.start();
    const [agent, other] = [await server.attestNew(), await server.attestNew()];
    const id = await server.createEntry(agent.spiffeId, '/web', {
      ...{ x509SvidTtl: 60, jwtSvidTtl: 30, hint: 'external', dnsNames: ['web.example.org'] },
      ...{ admin: true, downstream: true, storeSvid: true, expiresAt: inAMinute() },
      selectors: [{ type: 'unix', value: 'uid:1' }],
    });
    const nested = await server.createEntry('spiffe://example.org/web', '/nested');
    await server.createEntry(other.spiffeId, '/foreign');
    const client = await server.remote(ENTRY, agent);
    const whole = (await callUnary(client, 'GetAuthorizedEntries', {})).entries;
    expect(whole.map((entry) => entry.id).sort()).toEqual([id, nested].sort());
    const entry = whole.find((each) => each.id === id);
    const stored = await callUnary(server.local(ENTRY), 'GetEntry', { id });
    expect(entry).toEqual(stored);

    const blank = {
      ...{ id, spiffeId: null, parentId: null, selectors: [], x509SvidTtl: 0, jwtSvidTtl: 0 },
      ...{ federatesWith: [], admin: false, downstream: false, expiresAt: 0, dnsNames: [] },
      ...{ revisionNumber: 0, storeSvid: false, hint: '', createdAt: 0, additionalAttributes: null },
    };
    const fields = Object.keys(blank).filter((field) => field !== 'id') as (keyof typeof stored)[];
    for (const field of fields) {
      const { entries } = await callUnary(client, 'GetAuthorizedEntries', { outputMask: { [field]: true } });
      expect(entries.find((each) => each.id === id)).toEqual({ ...blank, [field]: stored[field] });
    }
    const { entries } = await callUnary(client, 'GetAuthorizedEntries', { outputMask: {} });
    expect(entries.find((each) => each.id === id)).toEqual(blank);
  });

  it('is answered with nothing when there is nothing, and never to one who is no agent', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    expect((await callUnary(await server.remote(ENTRY, agent), 'GetAuthorizedEntries', {})).entries).toEqual(
      [],
    );
    const workload = await server.mint('spiffe://example.org/web');
    for (const identity of [workload, undefined]) {
      const call = callUnary(await server.remote(ENTRY, identity), 'GetAuthorizedEntries', {});
      await expect(call).rejects.toSatisfy((error) =>
        hasReason(error, 'permission_denied', 'agent_not_attested'),
      );
    }
  });

  it('is refused to an agent that reads none of the answers, and to no other', async () => {
    await using server = await InProcessServer.start();
    const [agent, other] = [await server.attestNew(), await server.attestNew()];
    await createEntries(server, agent, 2000);
    const deaf = await RawHttp2Client.connect(server.port, agent);
    const body = grpcFrame(GetAuthorizedEntries.requestSerialize({}));
    for (let index = 0; index < 4; index += 1) {
      const stream = deaf.open(GetAuthorizedEntries.path);
      stream.end(body);
      await waitFor('the answer to begin', () => stream.readableLength > 0, { limitMs: 150_000 });
    }
    const fifth = callUnary(await server.remote(ENTRY, agent), 'GetAuthorizedEntries', {});
    await expect(fifth).rejects.toSatisfy((error) => hasReason(error, 'resource_exhausted'));
    const sync = openBidiStream(await server.remote(ENTRY, agent), 'SyncAuthorizedEntries');
    await expect(sync.messages.next()).rejects.toSatisfy((error) => hasReason(error, 'resource_exhausted'));
    await callUnary(await server.remote(ENTRY, other), 'GetAuthorizedEntries', {});
    deaf[Symbol.dispose]();
    await waitFor(
      'the agent to be answered again',
      async () => {
        const answer = await callUnary(await server.remote(ENTRY, agent), 'GetAuthorizedEntries', {}).catch(
          () => undefined,
        );
        return answer?.entries.length === 2000;
      },
      { limitMs: 150_000 },
    );
  });
});

it('an entry that expires during SyncAuthorizedEntries is not among those that are answered afterwards', async () => {
  await using server = await InProcessServer.start();
  const agent = await server.attestNew();
  await createEntries(server, agent, 500);
  const expiresAt = Math.floor(Date.now() / 1000) + 8;
  const ending = await server.createEntry(agent.spiffeId, '/ending', { expiresAt });
  const stream = openBidiStream(await server.remote(ENTRY, agent), 'SyncAuthorizedEntries');
  await stream.send({});
  const listed: string[] = [];
  for (let more = true; more;) {
    const { value } = await stream.messages.next();
    for (const { id } of value?.entryRevisions ?? []) listed.push(id);
    more = value?.more ?? false;
  }
  expect(listed).toHaveLength(501);
  expect(listed).toContain(ending);
  await waitFor('the entry to end', () => Date.now() / 1000 > expiresAt, { limitMs: 150_000 });
  const [kept = ''] = listed.filter((id) => id !== ending);
  await stream.send({ ids: [ending, kept] });
  const { value } = await stream.messages.next();
  expect(value?.more).toBe(false);
  expect(value?.entries.map(({ id }) => id)).toEqual([kept]);
  stream.cancel();
});

describe('ListEntries', () => {
  it('refuses a filter of 10,000 selectors with what it accepts, at once, and answers one of 1,000', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    await createEntries(server, agent, 10);
    const list = (count: number): Promise<{ readonly entries: readonly unknown[] }> =>
      callUnary(server.local(ENTRY), 'ListEntries', {
        filter: {
          bySelectors: {
            match: 'MATCH_ANY',
            selectors: Array.from({ length: count }, (_, index) => ({ type: 'unix', value: `uid:${index}` })),
          },
        },
      });
    const startedMs = performance.now();
    await expect(list(10_000)).rejects.toThrow('10000 are too many; at most 1000 are accepted');
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect((await list(1_000)).entries).toHaveLength(10);
  });
});
