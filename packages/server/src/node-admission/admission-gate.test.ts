import { parseSelector } from '@bonafide/shared/registration/selector';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { describe, expect, it } from 'vitest';
import { DATABASES, useStores } from '../store/store-fixtures.js';
import { AdmissionFixture, askingNode, HOUR_SECONDS, policy } from './admission-fixtures.js';
import { afterAsking } from './admission-request.js';
import { pruneAdmissions } from './prune-admissions.js';

const HOUR_MS = HOUR_SECONDS * 1000;
const ALL = { size: 0, token: undefined };
const node = askingNode('one', 'tpm:ek_hash:ab', 'tpm:pcr:sha256:7:00');
const { agentId } = node;
const by = (name: string): { agentId: typeof agentId; by: string; reason: string } => {
  return { agentId, by: name, reason: '' };
};
const pending = { reason: 'agent_pending' };

describe.each(DATABASES)('the gate for nodes that are new, on %s', (database) => {
  const stores = useStores(database);

  async function start(options: object = {}): Promise<AdmissionFixture & { readonly clock: FakeClock }> {
    const clock = new FakeClock();
    const store = await stores.open();
    return Object.assign(new AdmissionFixture(store, { clock, ...options }), { clock });
  }

  it('forgets requests that are not repeated, and approvals that are not used', async () => {
    const { gate, people, clock, ...room } = await start();
    await expect(gate.ask(node)).rejects.toMatchObject(pending);
    clock.jumpWallClock(HOUR_MS - 1);
    await expect(gate.ask(node)).rejects.toMatchObject(pending);
    clock.jumpWallClock(HOUR_MS - 1);
    expect((await people.list(ALL)).items).toMatchObject([{ state: 'pending' }]);
    await people.approve(by('uid:1'));
    clock.jumpWallClock(HOUR_MS);
    expect((await people.list(ALL)).items).toEqual([]);
    await expect(people.approve(by('uid:1'))).rejects.toMatchObject({ reason: 'not_found' });
    await expect(gate.ask(node)).rejects.toMatchObject(pending);
    expect(room.events.map(({ event }) => event)).toEqual(['node_asked', 'node_approved', 'node_asked']);
  });

  it('forgets the first of two approvals, though the node goes on asking', async () => {
    const { gate, people, clock } = await start({ policy: { approvalsNeeded: 2 } });
    await expect(gate.ask(node)).rejects.toMatchObject(pending);
    await people.approve(by('uid:1'));
    for (let asked = 0; asked < 4; asked += 1) {
      clock.jumpWallClock(HOUR_MS / 4);
      await expect(gate.ask(node)).rejects.toMatchObject(pending);
    }
    expect(await people.approve(by('uid:2'))).toMatchObject({ state: 'pending' });
    await people.approve(by('uid:1'));
    await gate.ask(node);
  });

  it('lets a denial end in time, and not sooner', async () => {
    const { gate, people, clock, ...room } = await start();
    await expect(gate.ask(node)).rejects.toMatchObject(pending);
    await people.approve(by('uid:1'));
    await people.deny(by('uid:2'));
    clock.jumpWallClock(2 * HOUR_MS - 1);
    await expect(gate.ask(node)).rejects.toMatchObject({ reason: 'permission_denied' });
    await expect(gate.ask(askingNode('one'))).rejects.toMatchObject({ reason: 'permission_denied' });
    clock.jumpWallClock(1);
    await expect(gate.ask(node)).rejects.toMatchObject(pending);
    expect(room.events.at(-1)).toMatchObject({ event: 'node_asked', subject: { agentId } });
  });

  it('uses an approval up, and keeps it when the transaction fails', async () => {
    const room = await start();
    const { store } = room;
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    await room.people.approve(by('uid:1'));
    const failing = store.write(async (transaction) => {
      expect(await room.gate.admit(transaction, node)).toBeDefined();
      throw new Error('the signature failed');
    });
    await expect(failing).rejects.toThrow('the signature failed');
    expect(await room.admit(node)).toMatchObject({ decisions: [{ by: 'uid:1' }] });
    await expect(room.admit(node)).rejects.toMatchObject(pending);
  });

  it('takes a node with other PCRs for the same, and one with another key or attestor for another', async () => {
    const room = await start();
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    await room.people.approve(by('uid:1'));
    await room.gate.ask(askingNode('one', 'tpm:ek_hash:ab', 'tpm:pcr:sha256:7:11'));
    const other = askingNode('one', 'tpm:ek_hash:cd', 'tpm:pcr:sha256:7:00');
    await expect(room.admit(other)).rejects.toMatchObject(pending);
    const strict = new AdmissionFixture(room.store, {
      clock: room.clock,
      policy: { rules: [{ attestor: 'x509pop' }] },
    });
    const elsewhere = { ...node, attestationType: 'x509pop' };
    await expect(strict.admit(elsewhere)).rejects.toMatchObject(pending);
    await expect(room.gate.ask(askingNode('one', 'tpm:ek_hash:cd'))).rejects.toMatchObject(pending);
    await expect(room.admit(node)).rejects.toMatchObject(pending);
    expect(room.events.map(({ event }) => event)).toContain('node_approval_voided');
  });

  it('keeps out who was denied when no rule holds for it any more', async () => {
    const room = await start();
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    await room.people.deny(by('uid:1'));
    const lenient = new AdmissionFixture(room.store, { clock: room.clock, policy: { rules: [] } });
    await expect(lenient.admit(node)).rejects.toMatchObject({ reason: 'permission_denied' });
    expect(await lenient.admit(askingNode('two'))).toBeUndefined();
  });

  it('counts approvals by the policy of now', async () => {
    const room = await start();
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    await room.people.approve(by('uid:1'));
    const options = { clock: room.clock, policy: { approvalsNeeded: 2 } };
    const strict = new AdmissionFixture(room.store, options);
    await expect(strict.admit(node)).rejects.toMatchObject(pending);
  });

  it('refuses more nodes when 10,000 wait, until some are forgotten', async () => {
    const room = await start();
    const { store } = room;
    const now = room.clock.now();
    await store.write(async ({ nodeAdmissions }) => {
      for (let index = 0; index < 10_000; index += 1) {
        await nodeAdmissions.put(afterAsking(undefined, askingNode(`n${index}`), policy, now));
      }
    });
    await expect(room.gate.ask(node)).rejects.toMatchObject({
      ...{ reason: 'resource_exhausted', retryAfterMs: 60_000 },
    });
    // Those that are known go on as before.
    await expect(room.gate.ask(askingNode('n7'))).rejects.toMatchObject(pending);
    room.clock.jumpWallClock(HOUR_MS);
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    expect(await store.nodeAdmissions.count()).toBe(1);
  });

  it('writes nothing when a node only asks again at once', async () => {
    const room = await start();
    const { store } = room;
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    const revision = await store.currentRevision();
    room.clock.jumpWallClock(4_999);
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    expect(await store.currentRevision()).toBe(revision);
    room.clock.jumpWallClock(1);
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    expect(await store.currentRevision()).toBe(revision + 1);
  });

  it('deletes what has expired in time, and not before', async () => {
    const room = await start();
    const { store } = room;
    await expect(room.gate.ask(node)).rejects.toMatchObject(pending);
    const stop = new AbortController();
    const running = pruneAdmissions({ store, clock: room.clock, log }, stop.signal);
    const revision = await store.currentRevision();
    await room.clock.advance(600_000);
    await expect.poll(() => store.nodeAdmissions.count(), { timeout: 30_000 }).toBe(1);
    expect(await store.currentRevision()).toBe(revision);
    room.clock.jumpWallClock(HOUR_MS);
    // The turn before may still be reading.
    await expect
      .poll(
        async () => {
          await room.clock.advance(600_000);
          return store.nodeAdmissions.count();
        },
        { timeout: 30_000 },
      )
      .toBe(0);
    stop.abort();
    await running;
  });
});

it('selectors are compared as sets', () => {
  const selectors = ['tpm:b:2', 'tpm:a:1', 'tpm:b:2'].map(parseSelector);
  const first = afterAsking(undefined, { ...node, selectors }, policy, new Date(1));
  const again = { ...node, selectors: selectors.slice(0, 2) };
  expect(afterAsking(first, again, policy, new Date(2)).firstAskedAt).toEqual(new Date(1));
});
