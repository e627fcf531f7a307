/** Streams that do not behave, and servers that stop: over real connections. */
import type { IncomingHttpHeaders } from 'node:http2';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { grpcFrame, RawHttp2Client } from './raw-http2-client.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const SYNC = 'bonafide.sync.v1.Sync';
const { Watch } = loadService(SYNC).definition;

function wireId({ spiffeId }: Attested): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path: new URL(spiffeId).pathname };
}

async function createEntries(server: InProcessServer, agent: Attested, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let start = 0; start < count; start += 500) {
    const { results } = await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
      entries: Array.from({ length: Math.min(500, count - start) }, (_, index) => ({
        spiffeId: { trustDomain: 'example.org', path: `/w/${start + index}` },
        parentId: wireId(agent),
        selectors: [{ type: 'unix', value: `uid:${start + index}` }],
      })),
    });
    for (const { entry } of results) ids.push(entry?.id ?? '');
  }
  return ids;
}

describe('a server that stops', () => {
  it('asks its agents to leave, and stops as soon as they have', async () => {
    await using server = await InProcessServer.start({ config: { server: { drain_spread: '60s' } } });
    const agent = await server.attestNew();
    const stream = openBidiStream(await server.remote(SYNC, agent), 'Watch');
    await stream.send({ hello: {} });
    expect((await stream.messages.next()).value?.step).toBe('snapshotPage');
    const started = performance.now();
    const stopped = server.stopServerOnly();
    expect((await stream.messages.next()).value?.drain).toEqual({ spreadMs: 60_000 });
    const late = openBidiStream(
      await server.remote(SYNC, agent).catch(() => server.remote(SYNC, agent)),
      'Watch',
    );
    await late.send({ hello: {} });
    await expect(late.messages.next()).rejects.toSatisfy((error) => hasReason(error, 'unavailable'));
    stream.end();
    expect((await stream.messages.next()).done).toBe(true);
    await stopped;
    expect(performance.now() - started).toBeLessThan(45_000);
  });

  it('ends those that stay soon after the spread', async () => {
    await using server = await InProcessServer.start({ config: { server: { drain_spread: '500ms' } } });
    const stream = openBidiStream(await server.remote(SYNC, await server.attestNew()), 'Watch');
    await stream.send({ hello: {} });
    expect((await stream.messages.next()).value?.step).toBe('snapshotPage');
    await server.stopServerOnly();
    expect((await stream.messages.next()).value?.step).toBe('drain');
    await expect(stream.messages.next()).rejects.toSatisfy((error) => hasReason(error, 'unavailable'));
  });
});

describe('streams without a first message', () => {
  it('are few for each agent, whatever it opens, and hinder nobody', async () => {
    await using server = await InProcessServer.start();
    const [agent, other] = [await server.attestNew(), await server.attestNew()];
    const refused: string[] = [];
    // Ten thousand of them are opened in first-messages.test.ts, where no TLS stands in the way.
    const clients = await Promise.all(
      Array.from({ length: 40 }, () => RawHttp2Client.connect(server.port, agent)),
    );
    try {
      for (const client of clients) {
        for (let index = 0; index < 50; index += 1) {
          const stream = client.open(Watch.path);
          stream.on('response', (headers) => {
            if (headers['grpc-status'] !== undefined) refused.push(String(headers['grpc-status']));
          });
          stream.on('trailers', (trailers: IncomingHttpHeaders) =>
            refused.push(String(trailers['grpc-status'])),
          );
          stream.resume();
        }
      }
      const stream = openBidiStream(await server.remote(SYNC, other), 'Watch');
      await stream.send({ hello: {} });
      expect((await stream.messages.next()).value?.step).toBe('snapshotPage');
      await waitFor('all of them to be refused', () => refused.length === 2_000, { limitMs: 220_000 });
      // RESOURCE_EXHAUSTED, and DEADLINE_EXCEEDED for the few that were let in and said nothing.
      expect(new Set(refused)).toEqual(new Set(['8', '4']));
      expect(refused.filter((code) => code === '4').length).toBeLessThan(200);
      expect(refused.filter((code) => code === '8').length).toBeGreaterThan(1_800);
    } finally {
      for (const client of clients) client[Symbol.dispose]();
    }
  });
});

describe("what SPIRE's agents ask", () => {
  it.each([
    [{ ids: ['x'] }, 'specifying IDs on initial request is not supported'],
    [{ outputMask: { spiffeId: true } }, 'revision number cannot be masked'],
  ])('%j at first is refused', async (request, problem) => {
    await using server = await InProcessServer.start();
    const stream = openBidiStream(
      await server.remote(ENTRY, await server.attestNew()),
      'SyncAuthorizedEntries',
    );
    await stream.send(request);
    await expect(stream.messages.next()).rejects.toThrow(problem);
  });

  it('is answered at once, masked, as long as it fits a page', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    await createEntries(server, agent, 500);
    const stream = openBidiStream(await server.remote(ENTRY, agent), 'SyncAuthorizedEntries');
    await stream.send({ outputMask: { revisionNumber: true } });
    const { value } = await stream.messages.next();
    expect(value).toMatchObject({ more: false, entryRevisions: [] });
    expect(value?.entries).toHaveLength(500);
    expect(value?.entries[0]).toMatchObject({ revisionNumber: 0, selectors: [], spiffeId: null });
    expect((await stream.messages.next()).done).toBe(true);
  });

  it('is answered in pages beyond that: revisions first, then the entries it asks for, and none that is not its own', async () => {
    await using server = await InProcessServer.start();
    const [agent, other] = [await server.attestNew(), await server.attestNew()];
    const ids = await createEntries(server, agent, 1001);
    const foreign = await server.createEntry(other.spiffeId, '/foreign');
    const stream = openBidiStream(await server.remote(ENTRY, agent), 'SyncAuthorizedEntries');
    await stream.send({});
    const listed: string[] = [];
    for (const [length, more] of [
      [500, true],
      [500, true],
      [1, false],
    ] as const) {
      const { value } = await stream.messages.next();
      expect(value).toMatchObject({ more, entries: [] });
      expect(value?.entryRevisions).toHaveLength(length);
      for (const { id } of value?.entryRevisions ?? []) listed.push(id);
    }
    expect([...listed].sort()).toEqual([...ids].sort());

    const ask = async (asked: readonly string[]): Promise<{ ids: string[]; more: boolean[] }> => {
      await stream.send({ ids: [...asked] });
      const answer = { ids: [] as string[], more: [] as boolean[] };
      for (let more = true; more;) {
        const { value } = await stream.messages.next();
        expect(value?.entryRevisions).toEqual([]);
        for (const { id } of value?.entries ?? []) answer.ids.push(id);
        more = value?.more ?? false;
        answer.more.push(more);
      }
      return answer;
    };
    expect(await ask([])).toEqual({ ids: [], more: [false] });
    expect(await ask(['unknown', foreign])).toEqual({ ids: [], more: [false] });
    expect(await ask(ids)).toEqual({ ids: [...ids].sort(), more: [true, true, false] });
    expect(await ask(ids.slice(0, 500))).toEqual({ ids: ids.slice(0, 500).sort(), more: [false] });
    const [gone = '', kept = ''] = ids;
    await callUnary(server.local(ENTRY), 'BatchDeleteEntry', { ids: [gone] });
    expect(await ask([gone, kept])).toEqual({ ids: [kept], more: [false] });
    await stream.send({ ids: Array.from({ length: 10_001 }, (_, index) => `id${index}`) });
    await expect(stream.messages.next()).rejects.toThrow('expected at most 10000');
  });
});

it('the stream carries bundles of other trust domains, tainted authorities and what is done to them', async () => {
  await using server = await InProcessServer.start();
  const agent = await server.attestNew();
  await server.createEntry(agent.spiffeId, '/web');
  const bundles = server.local(BUNDLE);
  const stream = openBidiStream(await server.remote(SYNC, agent), 'Watch');
  await stream.send({ hello: {} });
  const { value: snapshot } = await stream.messages.next();
  const own = snapshot?.snapshotPage?.bundles[0];
  const { x509Authorities } = await callUnary(bundles, 'GetBundle', {});
  const foreign = {
    trustDomain: 'other.example',
    x509Authorities: [{ asn1: x509Authorities[0]?.asn1 ?? Buffer.alloc(0) }],
  };
  await callUnary(bundles, 'BatchSetFederatedBundle', { bundle: [foreign] });
  const id = await server.createEntry(agent.spiffeId, '/federated', { federatesWith: ['other.example'] });
  const federated = (await stream.messages.next()).value?.delta;
  expect(federated?.upsertedBundles.map(({ trustDomain }) => trustDomain)).toEqual(['other.example']);
  await callUnary(bundles, 'BatchDeleteFederatedBundle', {
    trustDomains: ['other.example'],
    mode: 'DISSOCIATE',
  });
  const removed = (await stream.messages.next()).value?.delta;
  expect(removed?.removedBundleTrustDomains).toEqual(['other.example']);
  expect(removed?.upsertedEntries.map((entry) => entry.id)).toEqual([id]);

  const authorities = server.local('spire.api.server.localauthority.v1.LocalAuthority');
  const old = (await callUnary(authorities, 'GetX509AuthorityState', {})).active?.authorityId ?? '';
  const next =
    (await callUnary(authorities, 'PrepareX509Authority', {})).preparedAuthority?.authorityId ?? '';
  await callUnary(authorities, 'ActivateX509Authority', { authorityId: next });
  await callUnary(authorities, 'TaintX509Authority', { authorityId: old });
  await waitFor('the taint to arrive', async () => {
    const { value } = await stream.messages.next();
    return (
      value?.delta?.upsertedBundles.some(({ x509Authorities: all }) => all.some(({ tainted }) => tainted)) ===
      true
    );
  });
  expect(own?.x509Authorities.some(({ tainted }) => tainted)).toBe(false);
  stream.cancel();
});

it('an agent that does not read loses its connection soon after its SVID expires', async () => {
  await using server = await InProcessServer.start({ config: { server: { agent_ttl: '15s' } } });
  const agent = await server.attestNew();
  await createEntries(server, agent, 2000);
  using deaf = await RawHttp2Client.connect(server.port, agent);
  const stream = deaf.open(Watch.path);
  stream.write(grpcFrame(Watch.requestSerialize({ hello: {} })));
  await waitFor('the stream to be full', () => stream.readableLength > 16_000);
  await waitFor('the connection to be cut', () => deaf.session.destroyed, { limitMs: 150_000 });
  expect((await callUnary(server.local(AGENT), 'CountAgents', {})).count).toBe(1);
});
