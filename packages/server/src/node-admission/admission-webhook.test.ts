import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { startHttpStandIn, type StandInAnswer } from '@bonafide/testing/http-stand-in';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { useStores } from '../store/store-fixtures.js';
import { AdmissionFixture, askingNode, HOUR_SECONDS } from './admission-fixtures.js';
import { HttpAdmissionWebhook, type WebhookSettings } from './admission-webhook.js';

const node = askingNode('one', 'tpm:ek_hash:ab');
const pending = { reason: 'agent_pending' };
const decision = { by: 'uid:1', agentId: node.agentId, reason: '' };
const says = (answer: object): StandInAnswer => ({ body: JSON.stringify(answer) });

describe('the webhook', () => {
  const stores = useStores('sqlite');

  async function start(
    answer: Parameters<typeof startHttpStandIn>[0],
    { approvalsNeeded = 1, ...settings }: Partial<WebhookSettings> & { approvalsNeeded?: number } = {},
  ) {
    const clock = new FakeClock();
    const stop = new AbortController();
    const standIn = await startHttpStandIn(answer);
    const store = await stores.open();
    const { notices } = new AdmissionFixture(store, { clock });
    const webhook = new HttpAdmissionWebhook({
      settings: {
        ...{ url: standIn.url, timeoutSeconds: 20, caPath: undefined, bearerTokenPath: undefined },
        ...settings,
      },
      ...{ notices, clock, signal: stop.signal },
    });
    const room = new AdmissionFixture(store, { clock, webhook, policy: { approvalsNeeded } });
    return {
      room,
      clock,
      stop,
      requests: standIn.requests,
      [Symbol.asyncDispose]: () => {
        stop.abort();
        return standIn.stop();
      },
    };
  }

  it('lets a node in at once, and is told what was proven', async () => {
    await using run = await start(() => says({ decision: 'allow', reason: 'in the inventory' }));
    await run.room.gate.ask(node);
    expect(await run.room.admit(node)).toMatchObject({
      decisions: [{ by: 'webhook', isApproval: true, reason: 'in the inventory' }],
    });
    const [request] = run.requests;
    expect(request).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json' } });
    expect(JSON.parse(request?.body ?? '')).toEqual({
      agent_id: node.agentId,
      attestation_type: 'tpm',
      selectors: ['tpm:ek_hash:ab'],
      address: '192.0.2.7',
      first_asked_at: run.clock.now().toISOString(),
    });
    expect(run.room.events.map(({ event, actor }) => [event, actor.kind])).toEqual([
      ['node_asked', 'server'],
      ['node_approved', 'webhook'],
    ]);
  });

  it('keeps a node out, until an operator overrules it', async () => {
    await using run = await start(() => says({ decision: 'deny' }));
    await expect(run.room.gate.ask(node)).rejects.toMatchObject({ reason: 'permission_denied' });
    await expect(run.room.gate.ask(node)).rejects.toMatchObject({ reason: 'permission_denied' });
    expect(run.requests).toHaveLength(1);
    await run.room.people.approve(decision);
    await run.room.gate.ask(node);
  });

  it('is asked about one node every five seconds at most, and by one attestation at a time', async () => {
    await using run = await start(() => says({ decision: 'wait' }));
    for (const count of [1, 2]) {
      const asked = Array.from({ length: 5 }, () =>
        expect(run.room.gate.ask(node)).rejects.toMatchObject(pending),
      );
      await Promise.all(asked);
      expect(run.requests).toHaveLength(count);
      await run.clock.advance(4_999);
      await expect(run.room.gate.ask(node)).rejects.toMatchObject(pending);
      expect(run.requests).toHaveLength(count);
      await run.clock.advance(1);
    }
  });

  it('is one of two who must approve, and never both', async () => {
    await using run = await start(() => says({ decision: 'allow' }), { approvalsNeeded: 2 });
    for (let asked = 0; asked < 3; asked += 1) {
      await expect(run.room.gate.ask(node)).rejects.toMatchObject(pending);
      await run.clock.advance(10_000);
    }
    expect(run.requests).toHaveLength(1);
    expect(await run.room.people.approve(decision)).toMatchObject({ state: 'approved' });
    await run.room.gate.ask(node);
  });

  it.each<[string, StandInAnswer]>([
    ['another word', says({ decision: 'yes' })],
    ['more than was asked', says({ decision: 'allow', admin: true })],
    ['nothing', { body: '' }],
    ['no JSON', { body: 'allow' }],
    ['a list', { body: '["allow"]' }],
    ['null', { body: 'null' }],
    ['a reason of several lines', says({ decision: 'allow', reason: 'a\nNode approved' })],
    ['an endless reason', says({ decision: 'allow', reason: 'x'.repeat(1001) })],
    ['an error', { status: 500, body: '{"decision":"allow"}' }],
    ['not found', { status: 404, body: '{"decision":"allow"}' }],
    ['another status', { status: 202, body: '{"decision":"allow"}' }],
    ['10 MB', { body: `{"decision":"allow","reason":"${' '.repeat(10_000_000)}"}` }],
    ['10 MB behind a good answer', { body: `{"decision":"allow"}${' '.repeat(10_000_000)}` }],
  ])('leaves a node waiting when it answers %s', async (_what, answer) => {
    await using run = await start(() => answer);
    await expect(run.room.gate.ask(node)).rejects.toMatchObject(pending);
    expect(run.room.events.map(({ event }) => event)).toEqual(['node_asked']);
    expect(await run.room.people.list({ size: 0, token: undefined })).toMatchObject({
      items: [{ state: 'pending', decisions: [] }],
    });
  });

  it('is not followed to where it redirects', async () => {
    await using elsewhere = await start(() => says({ decision: 'allow' }));
    const server = createServer((_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:1/` }).end('{"decision":"allow"}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const webhook = new HttpAdmissionWebhook({
      settings: {
        ...{ url: new URL(`http://127.0.0.1:${port}/`), timeoutSeconds: 20 },
        ...{ caPath: undefined, bearerTokenPath: undefined },
      },
      ...{ notices: elsewhere.room.notices, clock: elsewhere.clock, signal: elsewhere.stop.signal },
    });
    const { clock, room } = elsewhere;
    const other = new AdmissionFixture(room.store, { clock, webhook });
    await expect(other.gate.ask(node)).rejects.toMatchObject(pending);
    expect(elsewhere.requests).toEqual([]);
    await new Promise((resolve) => server.close(resolve));
  });

  it('is given up when it stalls, and the store is free meanwhile', async () => {
    await using run = await start(() => undefined, { timeoutSeconds: 1 });
    const asked = run.room.gate.ask(node);
    const outcome = expect(asked).rejects.toMatchObject(pending);
    await expect.poll(() => run.requests.length, { timeout: 30_000 }).toBe(1);
    await run.room.people.approve(decision);
    await outcome;
    await run.room.gate.ask(node);
  });

  it('cannot approve what became another node while it thought, nor undo what a person decided', async () => {
    let meanwhile = (): Promise<unknown> => Promise.resolve();
    const clock = new FakeClock();
    const store = await stores.open();
    const webhook = {
      ask: async () => {
        await meanwhile();
        return { by: 'webhook', isApproval: true, at: clock.now(), reason: '' };
      },
    };
    const room = new AdmissionFixture(store, { clock, webhook });
    const plain = new AdmissionFixture(store, { clock });
    const other = askingNode('one', 'tpm:ek_hash:cd');
    meanwhile = () => plain.gate.ask(other).catch(() => undefined); // it waits as well
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    await expect(plain.admit(other)).rejects.toMatchObject(pending);
    meanwhile = () => plain.people.deny(decision);
    await expect(room.gate.ask(node)).rejects.toMatchObject({ reason: 'permission_denied' });
  });

  it('sends the token that is in the file now, and nothing when there is none', async () => {
    using directory = createTemporaryDirectory();
    const bearerTokenPath = directory.join('token');
    await using run = await start(() => says({ decision: 'wait' }), { bearerTokenPath });
    await expect(run.room.gate.ask(node)).rejects.toMatchObject(pending);
    await writeFile(bearerTokenPath, 'two\nlines');
    await run.clock.advance(HOUR_SECONDS * 10);
    await expect(run.room.gate.ask(node)).rejects.toMatchObject(pending);
    expect(run.requests).toHaveLength(0);
    await writeFile(bearerTokenPath, 'abc.def\n');
    await run.clock.advance(5_000);
    await expect(run.room.gate.ask(node)).rejects.toMatchObject(pending);
    expect(run.requests[0]?.headers['authorization']).toBe('Bearer abc.def');
  });
});
