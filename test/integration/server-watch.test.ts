import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import type { WatchRequest } from '@bonafide/shared/rpc/gen/bonafide/sync/v1/WatchRequest';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const SYNC = 'bonafide.sync.v1.Sync';

type Watch = ReturnType<typeof openBidiStream<ServiceClient<typeof SYNC>, 'Watch'>>;

/** Open, and past its snapshot. */
async function watch(server: InProcessServer, agent: Attested): Promise<Watch> {
  const stream = openBidiStream(await server.remote(SYNC, agent), 'Watch');
  await stream.send({ hello: { agentVersion: '1.0.0' } });
  const { value } = await stream.messages.next();
  expect(value?.step).toBe('snapshotPage');
  return stream;
}

function wireId({ spiffeId }: Attested): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path: new URL(spiffeId).pathname };
}

describe('the Watch stream', () => {
  it('ends at once when its agent is banned, whose next call fails (invariant 5)', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const other = await server.attestNew();
    const streams = [await watch(server, agent), await watch(server, other)] as const;
    const ended = streams[0].messages.next().catch((error: unknown) => error);
    const started = performance.now();
    await callUnary(server.local(AGENT), 'BanAgent', { id: wireId(agent) });
    expect(await ended).toSatisfy((error) => hasReason(error, 'agent_banned'));
    expect(performance.now() - started).toBeLessThan(10_000);

    const signing = await server.remote('spire.api.server.svid.v1.SVID', agent);
    await expect(callUnary(signing, 'BatchNewX509SVID', { params: [{}] })).rejects.toSatisfy((error) =>
      hasReason(error, 'agent_banned'),
    );
    const again = openBidiStream(await server.remote(SYNC, agent), 'Watch');
    await expect(again.messages.next()).rejects.toSatisfy((error) => hasReason(error, 'agent_banned'));

    // The other agent does not notice.
    await server.createEntry(other.spiffeId, '/web');
    const { value } = await streams[1].messages.next();
    expect(value?.delta?.upsertedEntries).toHaveLength(1);
  });

  it('is not the only stream that ends: so does every call that the banned agent has in progress (invariant 5)', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const { results } = await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
      entries: Array.from({ length: 501 }, (_, index) => ({
        spiffeId: { trustDomain: 'example.org', path: `/many/${index}` },
        parentId: wireId(agent),
        selectors: [{ type: 'unix', value: `uid:${index}` }],
      })),
    });
    const sync = openBidiStream(await server.remote(ENTRY, agent), 'SyncAuthorizedEntries');
    await sync.send({});
    expect((await sync.messages.next()).value?.more).toBe(true);
    expect((await sync.messages.next()).value?.more).toBe(false);
    await callUnary(server.local(AGENT), 'BanAgent', { id: wireId(agent) });
    await sync.send({ ids: [results[0]?.entry?.id ?? ''] }).catch(() => undefined); // it may be over already
    await expect(sync.messages.next()).rejects.toSatisfy((error) => hasReason(error, 'agent_banned'));
    expect(await server.createToken()).not.toBe('');
  });

  it('ends when its agent is evicted', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const stream = await watch(server, agent);
    await callUnary(server.local(AGENT), 'DeleteAgent', { id: wireId(agent) });
    await expect(stream.messages.next()).rejects.toSatisfy((error) => hasReason(error, 'agent_not_attested'));
  });

  it('carries creations, changes and deletions, and starts where the agent left off', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const stream = await watch(server, agent);
    const id = await server.createEntry(agent.spiffeId, '/web');
    const created = (await stream.messages.next()).value?.delta;
    expect(created?.upsertedEntries.map((entry) => entry.id)).toEqual([id]);
    stream.cancel();

    const entries = server.local(ENTRY);
    await callUnary(entries, 'BatchUpdateEntry', {
      entries: [{ id, hint: 'internal' }],
      inputMask: { hint: true },
    });
    const resumed = openBidiStream(await server.remote(SYNC, agent), 'Watch');
    await resumed.send({ hello: { logId: created?.logId ?? '', revision: created?.revision ?? 0 } });
    const changed = (await resumed.messages.next()).value?.delta;
    expect(changed?.upsertedEntries.map((entry) => [entry.id, entry.hint])).toEqual([[id, 'internal']]);
    await resumed.send({ acknowledgement: { revision: changed?.revision ?? 0 } });
    await callUnary(entries, 'BatchDeleteEntry', { ids: [id] });
    expect((await resumed.messages.next()).value?.delta?.removedEntryIds).toEqual([id]);
    resumed.end();
    expect((await resumed.messages.next()).done).toBe(true);
  });

  it('refuses who does not begin with hello, says it twice, or acknowledges what was never sent', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const client = await server.remote(SYNC, agent);
    const refusals: readonly (readonly [WatchRequest[], string])[] = [
      [[{ acknowledgement: { revision: 1 } }], 'the first message of a watch stream must be hello'],
      [[{}], 'step: is missing'],
      [[{ hello: {} }, { hello: {} }], 'a watch stream says hello once'],
      [[{ hello: {} }, { acknowledgement: { revision: 1_000_000 } }], 'acknowledged revision 1000000'],
      [[{ hello: { agentVersion: 'x'.repeat(300) } }], 'agent_version'],
    ];
    for (const [messages, refusal] of refusals) {
      const stream = openBidiStream(client, 'Watch');
      for (const message of messages) await stream.send(message).catch(() => undefined); // it may be over already
      await expect(drain(stream)).rejects.toThrow(refusal);
    }
  });

  it('records the version of the agent', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    await watch(server, agent);
    await waitFor('the version to be recorded', async () => {
      const { agentVersion } = await callUnary(server.local(AGENT), 'GetAgent', { id: wireId(agent) });
      return agentVersion === '1.0.0';
    });
    await callUnary(await server.remote(AGENT, agent), 'PostStatus', { agentVersion: '1.0.1' });
    const after = await callUnary(server.local(AGENT), 'GetAgent', { id: wireId(agent) });
    expect(after.agentVersion).toBe('1.0.1');
    await expect(
      callUnary(await server.remote(AGENT, agent), 'PostStatus', { agentVersion: 'x'.repeat(256) }),
    ).rejects.toThrow('agent version is too long (max 255 characters)');
  });

  it('ends with the server, which does not wait for it', async () => {
    await using server = await InProcessServer.start();
    const stream = await watch(server, await server.attestNew());
    const ended = stream.messages.next().catch((error: unknown) => error);
    const started = performance.now();
    await server.stopServerOnly();
    expect(await ended).toSatisfy((error) => hasReason(error, 'unavailable'));
    expect(performance.now() - started).toBeLessThan(30_000);
  });
});

async function drain(stream: Watch): Promise<void> {
  for await (const message of stream.messages) expect(message.step).toBeDefined();
}
