import { FakeClock } from '@bonafide/testing/fake-clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { formatSelector, parseSelector } from '@bonafide/shared/registration/selector';
import { describe, expect, it } from 'vitest';
import { actorNamed } from '../../access/audited-actor.js';
import type { AuditEvent } from '../../audit/audit-log.js';
import { exampleEntry, exampleNode } from '../../store/example-records.js';
import { DATABASES, useStores } from '../../store/store-fixtures.js';
import type { Store } from '../../store/store.js';
import { tpmAgentId } from './tpm-agent-id.js';
import { TpmEnrollments } from './tpm-enrollments.js';
import { formatTpmRecord, parseTpmRecord, type TpmRecord } from './tpm-record.js';

const trustDomain = parseTrustDomain('example.org');
const [OLD, NEW, OTHER] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const BY = 'uid:0';
const BY_ACTOR = actorNamed(BY);
const id = (hash: string): ReturnType<typeof tpmAgentId> => tpmAgentId(trustDomain, hash);
const ALL = { size: 100, token: undefined };

const record: TpmRecord = {
  version: 1,
  akPublic: 'AAAA',
  ek: { isCertified: true, authorities: [] },
  expected: {
    pcrs: { sha256: { '7': '11'.repeat(32) } },
    resetCount: 1,
    restartCount: 0,
    clock: '1',
    firmwareVersion: '1',
    bootLog: { kind: 'none' },
  },
};

describe.each(DATABASES)('what operators do about TPMs, on %s', (database) => {
  const stores = useStores(database);

  async function start(): Promise<{ store: Store; tpms: TpmEnrollments; events: AuditEvent[] }> {
    const store = await stores.open();
    const events: AuditEvent[] = [];
    const audit = {
      record(event: AuditEvent): Promise<void> {
        events.push(event);
        return Promise.resolve();
      },
    };
    return { store, events, tpms: new TpmEnrollments({ trustDomain, store, clock: new FakeClock(), audit }) };
  }

  const attested = (store: Store, hash: string): Promise<void> =>
    store.write(async ({ nodes, nodeProofs }) => {
      await nodes.put(exampleNode({ agentId: id(hash), attestationType: 'tpm' }));
      const proof = { provenAt: new Date(1), requestedAt: undefined, record: formatTpmRecord(record) };
      await nodeProofs.put({ agentId: id(hash), ...proof });
    });

  it('lets a TPM in once, with a note that is not endless', async () => {
    const { tpms, events } = await start();
    expect(await tpms.enroll(OLD, 'rack 7', BY)).toMatchObject({ ekHash: OLD, note: 'rack 7' });
    await expect(tpms.enroll(OLD, '', BY)).rejects.toMatchObject({ reason: 'already_exists' });
    await expect(tpms.enroll(NEW, 'x'.repeat(513), BY)).rejects.toMatchObject({ reason: 'invalid_argument' });
    expect((await tpms.list(ALL)).items).toMatchObject([{ ekHash: OLD }]);
    expect(events).toEqual([
      {
        ...{ event: 'tpm_enrolled', result: 'success', attestationType: 'tpm', revision: undefined },
        ...{ actor: BY_ACTOR, reason: 'rack 7', subject: { agentId: id(OLD), ekHash: OLD } },
      },
    ]);
  });

  it('bans the agent of a TPM that is removed, in one revision', async () => {
    const { store, tpms, events } = await start();
    await tpms.enroll(OLD, '', BY);
    await attested(store, OLD);
    const before = await store.currentRevision();
    expect(await tpms.remove(OLD, BY)).toBe(before + 1);
    expect(await store.nodes.get(id(OLD))).toMatchObject({
      isBanned: true,
      serialNumber: undefined,
      nextSerialNumber: undefined,
    });
    await expect(tpms.remove(OLD, BY)).rejects.toMatchObject({ reason: 'not_found' });
    expect(events.at(-1)).toMatchObject({
      event: 'tpm_removed',
      subject: { agentId: id(OLD) },
      actor: BY_ACTOR,
    });
    expect(events).toHaveLength(2);
  });

  it('puts a TPM in the place of another, with the entries of its agent and the aliases of its node', async () => {
    const { store, tpms, events } = await start();
    await tpms.enroll(OLD, 'rack 7', BY);
    await attested(store, OLD);
    const ekHash = (hash: string): string => `tpm:ek_hash:${hash}`;
    await store.write(async ({ entries }) => {
      const add = (options: Parameters<typeof exampleEntry>[0], name: string): Promise<unknown> =>
        entries.create(exampleEntry(options), { id: name, createdAt: new Date(1) });
      const server = { parent: '/spire/server' };
      await add({ parent: `/spire/agent/tpm/${OLD}` }, 'child');
      await add({ parent: `/spire/agent/tpm/${OLD}`, path: '/twice' }, 'double');
      await add({ parent: `/spire/agent/tpm/${NEW}`, path: '/twice' }, 'given-by-hand');
      await add({ parent: `/spire/agent/tpm/${OTHER}` }, 'of-another');
      await add({ ...server, path: '/a', selectors: [ekHash(OLD), 'tpm:secure_boot:true'] }, 'alias');
      await add({ ...server, path: '/b', selectors: [ekHash(OTHER)] }, 'alias-of-another');
      await add({ ...server, path: '/c', selectors: [ekHash(OLD)] }, 'alias-double');
      await add({ ...server, path: '/c', selectors: [ekHash(NEW)] }, 'alias-by-hand');
      // The same words, and not of a node.
      await add(
        { parent: `/spire/agent/tpm/${OTHER}`, path: '/d', selectors: [ekHash(OLD)] },
        'not-an-alias',
      );
    });
    const before = await store.currentRevision();
    expect(await tpms.replace(OLD, NEW, BY)).toEqual({ movedEntries: 4, revision: before + 1 });
    const selectorsOf = async (name: string): Promise<readonly string[] | undefined> =>
      (await store.entries.get(name))?.selectors.map(formatSelector);
    expect((await store.entries.get('child'))?.parentId).toBe(id(NEW));
    expect(await store.entries.get('double')).toBeUndefined();
    expect((await store.entries.get('of-another'))?.parentId).toBe(id(OTHER));
    expect(await selectorsOf('alias')).toEqual([ekHash(NEW), 'tpm:secure_boot:true']);
    expect(await selectorsOf('alias-of-another')).toEqual([ekHash(OTHER)]);
    expect(await selectorsOf('alias-double')).toBeUndefined();
    expect(await selectorsOf('not-an-alias')).toEqual([ekHash(OLD)]);
    expect(await store.nodes.get(id(OLD))).toBeUndefined();
    expect(await store.nodeProofs.get(id(OLD))).toBeUndefined();
    expect((await tpms.list(ALL)).items).toMatchObject([{ ekHash: NEW, note: 'rack 7' }]);
    const named = [parseSelector(ekHash(OLD))];
    expect(await store.entries.count({ selectors: { named, match: 'superset' } })).toBe(1);
    expect(events.at(-1)).toMatchObject({
      ...{ event: 'tpm_replaced', subject: { agentId: id(OLD) }, reason: `replaced by ${id(NEW)}` },
    });
  });

  it('moves more entries than fit into one page', async () => {
    const { store, tpms } = await start();
    await attested(store, OLD);
    await store.write(async ({ entries }) => {
      for (let index = 0; index < 501; index += 1) {
        const content = exampleEntry({ parent: `/spire/agent/tpm/${OLD}`, path: `/web/${index}` });
        await entries.create(content, { id: undefined, createdAt: new Date(1) });
      }
    });
    expect(await tpms.replace(OLD, NEW, BY)).toMatchObject({ movedEntries: 501 });
    expect(await store.entries.count({ parentId: id(NEW) })).toBe(501);
  });

  it('replaces nothing by itself, and nothing that is not known', async () => {
    const { store, tpms, events } = await start();
    await expect(tpms.replace(OLD, OLD, BY)).rejects.toMatchObject({ reason: 'invalid_argument' });
    await expect(tpms.replace(OLD, NEW, BY)).rejects.toMatchObject({ reason: 'not_found' });
    expect(await store.tpmEnrollments.get(NEW)).toBeUndefined();
    expect(events).toEqual([]);
  });

  it('forgets the attestation key, and nothing else', async () => {
    const { store, tpms, events } = await start();
    await expect(tpms.rekey(OLD, BY)).rejects.toMatchObject({ reason: 'not_found' });
    await attested(store, OLD);
    await tpms.rekey(OLD, BY);
    const { record: text = '' } = (await store.nodeProofs.get(id(OLD))) ?? {};
    const { akPublic, ...rest } = parseTpmRecord(text);
    expect(akPublic).toBeUndefined();
    expect(rest).toEqual({ version: 1, ek: record.ek, expected: record.expected });
    expect(events).toMatchObject([{ event: 'tpm_rekeyed', subject: { agentId: id(OLD) }, actor: BY_ACTOR }]);
    expect(await tpms.acceptedState(OLD)).toEqual(record.expected);
    await expect(tpms.acceptedState(NEW)).rejects.toMatchObject({ reason: 'not_found' });
  });
});
