import { EntrySync } from '@bonafide/agent/sync/entry-sync';
import { pollEntries } from '@bonafide/agent/sync/poll-entries';
import type { ServerChannel } from '@bonafide/agent/agent-identity/server-connection';
import type { AuthorizedChange } from '@bonafide/agent/svid-cache/authorized-change';
import { SvidCache } from '@bonafide/agent/svid-cache/svid-cache';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { startStubServices, StubStatus } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { credentials, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const trustDomain = parseTrustDomain('example.org');
const never = new AbortController().signal;

function emptyCache(): SvidCache {
  return new SvidCache({ trustDomain, clock: systemClock, log: silentLogger, maximumSvids: 1000 });
}

/** The clients of one agent, made ahead because a channel gives them at once. */
async function clientsOf(server: InProcessServer, agent: Attested): Promise<Pick<ServerChannel, 'client'>> {
  const clients = new Map<ServiceName, ServiceClient<ServiceName>>();
  for (const name of ['spire.api.server.entry.v1.Entry', 'spire.api.server.bundle.v1.Bundle'] as const) {
    clients.set(name, await server.remote(name, agent));
  }
  return { client: <Name extends ServiceName>(name: Name) => clients.get(name) as ServiceClient<Name> };
}

describe('pollEntries', () => {
  it('finds all that the agent is entitled to, however many, and only fetches what it does not hold', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const channel = await clientsOf(server, agent);
    const cache = emptyCache();
    const poll = async (): Promise<AuthorizedChange> => {
      const change = await pollEntries({
        channel,
        known: (id) => cache.entry(id),
        log: silentLogger,
        signal: never,
      });
      cache.apply(change);
      return change;
    };
    await poll();
    expect(cache.entryCount).toBe(0);
    expect(cache.bundle(trustDomain)?.x509Authorities).toHaveLength(1);

    const ids: string[] = [];
    for (let index = 0; index < 20; index += 1)
      ids.push(await server.createEntry(agent.spiffeId, `/few/${index}`));
    await poll();
    expect(
      cache
        .entries()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...ids].sort());
    const before = cache.entry(ids[1] ?? '');

    const client = server.local('spire.api.server.entry.v1.Entry');
    const many = Array.from({ length: 1200 }, (_, index) => ({
      spiffeId: { trustDomain, path: `/many/${index}` },
      parentId: { trustDomain, path: new URL(agent.spiffeId).pathname },
      selectors: [OWN_SELECTOR],
      x509SvidTtl: 60,
      dnsNames: ['many.example.org'],
    }));
    for (let start = 0; start < many.length; start += 400) {
      await callUnary(client, 'BatchCreateEntry', { entries: many.slice(start, start + 400) });
    }
    await callUnary(client, 'BatchUpdateEntry', {
      entries: [{ id: ids[0] ?? '', hint: 'changed' }],
      inputMask: { hint: true },
    });
    await callUnary(client, 'BatchDeleteEntry', { ids: [ids[2] ?? ''] });
    await poll();
    expect(cache.entryCount).toBe(1200 + 19);
    expect(cache.entry(ids[0] ?? '')?.hint).toBe('changed');
    expect(cache.entry(ids[1] ?? '')).toBe(before);
    const some = cache.entries().find(({ spiffeId }) => spiffeId.endsWith('/many/7'));
    expect(some).toMatchObject({ x509SvidTtlSeconds: 60, dnsNames: ['many.example.org'] });
  });
});

describe('pollEntries at an old server', () => {
  it('asks for everything where differences cannot be had, and passes on why it gets nothing', async () => {
    using directory = createTemporaryDirectory();
    const socketPath = directory.join('old.sock');
    let refuses = false;
    await using old = await startStubServices(socketPath, {
      'spire.api.server.entry.v1.Entry': {
        GetAuthorizedEntries: () => {
          if (refuses) throw new StubStatus(status.RESOURCE_EXHAUSTED, 'rate limit exceeded');
          return {
            entries: [
              {
                id: 'web',
                spiffeId: { trustDomain, path: '/web' },
                parentId: { trustDomain, path: '/spire/agent/join_token/a' },
                selectors: [OWN_SELECTOR],
                revisionNumber: 3,
              },
              { id: 'malformed' },
            ],
          };
        },
      },
      'spire.api.server.bundle.v1.Bundle': { GetBundle: () => ({ trustDomain, sequenceNumber: 7 }) },
    });
    const clients = ['spire.api.server.entry.v1.Entry', 'spire.api.server.bundle.v1.Bundle'] as const;
    const byName = new Map<ServiceName, ServiceClient<ServiceName>>(
      clients.map((name) => {
        const { Client } = loadService(name);
        return [name, new Client(`unix:${socketPath}`, credentials.createInsecure())];
      }),
    );
    const poll = (): Promise<AuthorizedChange> =>
      pollEntries({
        channel: {
          client: <Name extends ServiceName>(name: Name) => byName.get(name) as ServiceClient<Name>,
        },
        known: () => undefined,
        log: silentLogger,
        signal: never,
      });
    expect(await poll()).toMatchObject({
      kind: 'snapshot',
      entries: [{ id: 'web', spiffeId: 'spiffe://example.org/web', revisionNumber: 3 }],
      bundles: [{ trustDomain, sequenceNumber: 7 }],
    });
    expect(old.calls.map(({ method }) => method)).toEqual(['GetAuthorizedEntries', 'GetBundle']);
    refuses = true;
    await expect(poll()).rejects.toMatchObject({ reason: 'resource_exhausted' });
    for (const client of byName.values()) client.close();
  });
});

describe('EntrySync with a server that has no Watch', () => {
  it('polls every few seconds instead', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const real = await clientsOf(server, agent);
    using directory = createTemporaryDirectory();
    const socketPath = directory.join('old.sock');
    await using old = await startStubServices(socketPath, { 'grpc.health.v1.Health': {} });
    const { Client } = loadService('bonafide.sync.v1.Sync');
    const sync = new Client(`unix:${socketPath}`, credentials.createInsecure());
    const channel: ServerChannel = {
      identity: undefined,
      superseded: never,
      client: <Name extends ServiceName>(name: Name) =>
        name === 'bonafide.sync.v1.Sync' ? sync : real.client(name),
    };
    const cache = emptyCache();
    const clock = new FakeClock();
    const stopping = new AbortController();
    let polls = 0;
    const entrySync = new EntrySync({
      connection: {
        channel: () => channel,
        discard: () => false,
        confirm: () => undefined,
        hasAlternative: () => Promise.resolve(false),
        moveAway: () => Promise.resolve(false),
      },
      cache,
      apply: (change, cursor) => {
        expect(cursor).toBeUndefined();
        polls += 1;
        cache.apply(change);
      },
      cursor: () => undefined,
      reportRefusal: () => undefined,
      explain: String,
      agentVersion: '1.0.0',
      random: () => 0.5,
      clock,
      log: silentLogger,
    });
    const ended = entrySync.run(stopping.signal);
    await entrySync.synced;
    await server.createEntry(agent.spiffeId, '/web', { selectors: [OWN_SELECTOR] });
    await waitFor('the pause', () => clock.pendingTimers > 0);
    await clock.advance(4_900);
    expect(polls).toBe(1);
    await clock.advance(200);
    await waitFor('the next poll', () => cache.entryCount === 1);
    expect(polls).toBe(2);
    expect(entrySync.isConnected).toBe(true);
    stopping.abort();
    await ended;
    sync.close();
    expect(old.calls).toEqual([]);
  });
});
