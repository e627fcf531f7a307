import { callUnary, openBidiStream, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { revisionsIn } from '@bonafide/shared/rpc/revision-header';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const SYNC = 'bonafide.sync.v1.Sync';
const DELIVERY = 'bonafide.sync.v1.Delivery';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';

type Watch = ReturnType<typeof openBidiStream<ServiceClient<typeof SYNC>, 'Watch'>>;

/** Acknowledges its snapshot, and after that whatever it is told for as long as it `acknowledges`. */
async function watch(server: InProcessServer, agent: Attested, acknowledges: boolean): Promise<Watch> {
  const stream = openBidiStream(await server.remote(SYNC, agent), 'Watch');
  await stream.send({ hello: { agentVersion: '1.0.0' } });
  const { value } = await stream.messages.next();
  await stream.send({ acknowledgement: { revision: value?.snapshotPage?.revision ?? 0 } });
  if (acknowledges) {
    void (async () => {
      for await (const { delta } of stream.messages) {
        await stream.send({ acknowledgement: { revision: delta?.revision ?? 0 } });
      }
    })().catch(() => undefined); // it ends with its server
  }
  return stream;
}

async function run(server: InProcessServer, line: string, input = '') {
  const host = createRecordedHost({ environment: { BONAFIDE_SERVER_SOCKET: server.socketPath }, input });
  const code = await runServerProgram(line.split(' '), host);
  return { code, ...host.printed };
}

/** One for each agent, as `entry create --data` takes it. */
function entriesFile(agents: readonly Attested[]): string {
  return JSON.stringify({
    entries: agents.map(({ spiffeId }, index) => ({
      spiffe_id: `spiffe://example.org/w${index}`,
      parent_id: spiffeId,
      selectors: [{ type: 'unix', value: `uid:${index}` }],
    })),
  });
}

describe('delivery receipts', () => {
  it('tell of agents that hold a change, that lack behind, and that are offline', async () => {
    await using server = await InProcessServer.start();
    const [quick, mute, absent] = [
      await server.attestNew(),
      await server.attestNew(),
      await server.attestNew(),
    ];
    await watch(server, quick, true);
    const muted = await watch(server, mute, false);

    const one = await run(
      server,
      `entry create --spiffe-id spiffe://example.org/web --parent-id ${quick.spiffeId} --selector unix:uid:1 -wait=20s`,
    );
    expect(one).toMatchObject({ code: 0, stderr: '' });
    expect(one.stdout).toMatch(/^Entry ID[^]*Delivered to 1 of 1 agent in \d+(\.\d+)? m?s\n$/);

    const data = entriesFile([quick, mute, absent]);
    const all = await run(server, 'entry create --data - --wait=1s', data);
    expect(all.code).toBe(1);
    expect(all.stdout).toContain('Delivered to 1 of 3 agents in ');
    expect(all.stdout).toMatch(new RegExp(`  ${mute.spiffeId}: behind by \\d+ revisions?\n`));
    expect(all.stdout).toMatch(
      new RegExp(`  ${absent.spiffeId}: offline, not heard of since the server started`),
    );
    expect(all.stderr).toBe('Error: the change stands, but 2 agents do not hold it yet\n');

    muted.cancel();
    const json = await run(
      server,
      `entry create --spiffe-id spiffe://example.org/last --parent-id ${mute.spiffeId} --selector unix:uid:1 --wait=500ms --output json`,
    );
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      results: [{ status: { code: 0 } }],
      delivery: {
        concerned: 1,
        delivered: 0,
        undelivered: [{ agent_id: mute.spiffeId, offline: { is_exact: true } }],
      },
    });
  });

  it('say that nobody is concerned', async () => {
    await using server = await InProcessServer.start();
    const created = await run(
      server,
      'entry create --spiffe-id spiffe://example.org/web --parent-id spiffe://example.org/nowhere --selector unix:uid:1 --wait',
    );
    expect(created).toMatchObject({ code: 0, stderr: '' });
    expect(created.stdout).toContain('No agent is concerned, so there was nothing to wait for\n');
  });

  it('cover bundles, and with them the agents that follow them', async () => {
    await using server = await InProcessServer.start();
    await using partner = await InProcessServer.start();
    const agent = await server.attestNew();
    await watch(server, agent, true);
    const bundle = await run(partner, 'bundle show --format spiffe');
    const unheard = await run(
      server,
      'bundle set --id partner.example --format spiffe --wait',
      bundle.stdout,
    );
    expect(unheard).toMatchObject({ code: 0, stderr: '' });
    expect(unheard.stdout).toContain('No agent is concerned');
    await server.createEntry(agent.spiffeId, '/web', { federatesWith: ['partner.example'] });
    const set = await run(server, 'bundle set --id partner.example --format spiffe --wait', bundle.stdout);
    expect(set.stdout).toMatch(/^bundle set\.\nDelivered to 1 of 1 agent in /);
    const deleted = await run(server, 'bundle delete --id partner.example --mode dissociate --wait');
    expect(deleted.stdout).toMatch(/^bundle deleted\.\nDelivered to 1 of 1 agent in /);
  });

  it('cover authorities, federation relationships and agents that are sent away', async () => {
    await using server = await InProcessServer.start();
    const [agent, other] = [await server.attestNew(), await server.attestNew()];
    await watch(server, agent, true);
    await watch(server, other, true);

    const all = /Delivered to 2 of 2 agents in /;
    for (const kind of ['x509', 'jwt', 'wit']) {
      const prepared = await run(server, `localauthority ${kind} prepare --wait`);
      expect(prepared).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(all) as string });
      const [old, next] = await Promise.all(
        ['Active', 'Prepared'].map(async (slot) => {
          const { stdout } = await run(server, `localauthority ${kind} show`);
          return new RegExp(`${slot} [^:]+:\\n  Authority ID: (\\S+)`).exec(stdout)?.[1] ?? '';
        }),
      );
      // Which one signs is not for the agents to know.
      const activated = await run(server, `localauthority ${kind} activate --authority-id ${next} --wait`);
      expect(activated).toMatchObject({ code: 0, stderr: '' });
      for (const verb of ['taint', 'revoke']) {
        const withdrawn = await run(server, `localauthority ${kind} ${verb} --authority-id ${old} --wait`);
        expect(withdrawn).toMatchObject({
          code: 0,
          stderr: '',
          stdout: expect.stringMatching(all) as string,
        });
      }
    }

    const flags =
      '--trust-domain partner.example --bundle-endpoint-url https://localhost:1/ --bundle-endpoint-profile https_web';
    const created = await run(server, `federation create ${flags} --wait --output json`);
    expect(created.code).toBe(0);
    expect(JSON.parse(created.stdout)).toMatchObject({
      results: [{ status: { code: 0 } }],
      delivery: { concerned: 0, revisions: [expect.any(Number)] },
    });
    for (const line of [`federation update ${flags} --wait`, 'federation delete --id partner.example --wait'])
      expect(await run(server, line)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('No agent') as string,
      });

    const banned = await run(server, `agent ban --spiffe-id ${agent.spiffeId} --wait`);
    expect(banned).toMatchObject({ code: 0, stderr: '' });
    const evicted = await run(server, `agent evict --spiffe-id ${other.spiffeId} --wait --output json`);
    expect(JSON.parse(evicted.stdout)).toMatchObject({ delivery: { undelivered: [] } });
  });

  it('count an agent that polls when it asks again', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const client = await server.remote(ENTRY, agent);
    let revision = 0;
    await callUnary(
      server.local(ENTRY),
      'BatchCreateEntry',
      {
        entries: [
          {
            spiffeId: { trustDomain: 'example.org', path: '/web' },
            parentId: { trustDomain: 'example.org', path: new URL(agent.spiffeId).pathname },
            selectors: [{ type: 'unix', value: 'uid:1' }],
          },
        ],
      },
      { onHeaders: (headers) => (revision = revisionsIn(headers)[0] ?? 0) },
    );
    await callUnary(client, 'GetAuthorizedEntries', {});
    expect(await last(server, revision, 0)).toMatchObject({ delivered: 0, agents: [{ state: 'behind' }] });
    const waiting = last(server, revision, 20_000);
    await callUnary(client, 'GetAuthorizedEntries', {});
    expect(await waiting).toMatchObject({ delivered: 1, agents: [{ state: 'delivered' }] });
  });

  it('are given by a restarted server for what was committed before', async () => {
    using directory = createTemporaryDirectory();
    let agentId = '';
    let revision = 0;
    {
      await using server = await InProcessServer.start({ directory });
      agentId = (await server.attestNew()).spiffeId;
      const created = await run(
        server,
        `entry create --spiffe-id spiffe://example.org/web --parent-id ${agentId} --selector unix:uid:1 --wait=0s --output json`,
      );
      revision =
        (JSON.parse(created.stdout) as { delivery: { revisions: number[] } }).delivery.revisions[0] ?? 0;
    }
    await using server = await InProcessServer.start({ directory });
    expect(revision).toBeGreaterThan(0);
    expect(await last(server, revision, 0)).toMatchObject({
      delivered: 0,
      agents: [{ agentId, state: 'offline', offline: { isExact: false } }],
    });
  });

  it('refuse what makes no sense', async () => {
    await using server = await InProcessServer.start();
    await expect(last(server, 0, 0)).rejects.toMatchObject({ reason: 'invalid_argument' });
    await expect(last(server, 1, 2 ** 32 - 1)).rejects.toMatchObject({ reason: 'invalid_argument' });
    await expect(last(server, Number.MAX_SAFE_INTEGER, 100)).rejects.toMatchObject({ reason: 'not_found' });
    for (const wait of ['x', '-1s', '2h']) {
      const { code, stderr } = await run(server, `entry delete --entry-id x --wait=${wait}`);
      expect([code, stderr]).toEqual([1, expect.stringContaining('--wait')]);
    }
  });

  it('name no revision where nothing was committed', async () => {
    await using server = await InProcessServer.start();
    let revisions: readonly number[] = [];
    const onHeaders = (headers: Parameters<typeof revisionsIn>[0]) => (revisions = revisionsIn(headers));
    await callUnary(
      server.local(BUNDLE),
      'BatchDeleteFederatedBundle',
      { trustDomains: ['x'] },
      { onHeaders },
    );
    expect(revisions).toEqual([]);
  });
});

async function last(server: InProcessServer, revision: number, timeoutMs: number) {
  const request = { revision, timeoutMs };
  for await (const message of openServerStream(server.local(DELIVERY), 'WaitForDelivery', request)) {
    if (message.isLast) return message;
  }
  throw new Error('the stream ended without a last message');
}
