import { callUnary, openBidiStream, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { EntryMask } from '@bonafide/shared/rpc/gen/spire/api/types/EntryMask';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const HEALTH = 'grpc.health.v1.Health';
const LOGGER = 'spire.api.server.logger.v1.Logger';
const SVID = 'spire.api.server.svid.v1.SVID';

let server: InProcessServer;
let agent: Attested;

beforeAll(async () => {
  server = await InProcessServer.start();
  agent = await server.attestNew();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function own(path: string): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path };
}

describe('Entry', () => {
  it('creates, shows what the mask asks for, and knows a similar entry again', async () => {
    const client = server.local(ENTRY);
    const entry = {
      spiffeId: own('/web'),
      parentId: own('/rack'),
      selectors: [{ type: 'unix', value: 'uid:7' }],
      x509SvidTtl: 120,
      hint: 'front',
    };
    const created = (await callUnary(client, 'BatchCreateEntry', { entries: [entry] })).results[0];
    expect(created?.status).toEqual({ code: 0, message: 'OK' });
    expect(created?.entry).toMatchObject({ ...entry, revisionNumber: 0 });
    const again = (await callUnary(client, 'BatchCreateEntry', { entries: [{ ...entry, hint: 'x' }] }))
      .results[0];
    expect(again?.status).toEqual({ code: 6, message: 'similar entry already exists' });
    expect(again?.entry?.id).toBe(created?.entry?.id);

    const outputMask: EntryMask = { spiffeId: true };
    const shown = await callUnary(client, 'GetEntry', { id: created?.entry?.id ?? '', outputMask });
    expect([shown.spiffeId?.path, shown.parentId, shown.selectors, shown.hint]).toEqual([
      '/web',
      null,
      [],
      '',
    ]);
    await expect(callUnary(client, 'GetEntry', { id: 'none' })).rejects.toMatchObject({
      reason: 'not_found',
      message: 'entry not found',
    });
    await expect(callUnary(client, 'GetEntry', {})).rejects.toThrow('missing ID');
  });

  it('gives each item of a batch its own outcome, in the order of the request', async () => {
    const client = server.local(ENTRY);
    const good = {
      spiffeId: own('/a'),
      parentId: own('/rack'),
      selectors: [{ type: 'unix', value: 'uid:8' }],
    };
    const { results } = await callUnary(client, 'BatchCreateEntry', {
      entries: [
        { ...good, spiffeId: { trustDomain: 'Bad Name', path: '/a' } },
        good,
        { ...good, selectors: [] },
        { ...good, spiffeId: own('/spire/agent/x') },
        { ...good, spiffeId: own('/b') },
        {},
      ],
    });
    expect(results.map(({ status }) => status?.code)).toEqual([3, 0, 3, 3, 0, 3]);
    expect(results[0]?.status?.message).toContain('failed to convert entry');
    expect(results.map(({ entry }) => entry?.spiffeId?.path)).toEqual([
      undefined,
      '/a',
      undefined,
      undefined,
      '/b',
      undefined,
    ]);
    const ids = results.flatMap(({ entry }) => (entry ? [entry.id] : []));
    const update = await callUnary(client, 'BatchUpdateEntry', {
      entries: [
        { id: ids[0] ?? '', hint: 'new' },
        { id: 'none', hint: 'new' },
      ],
      inputMask: { hint: true },
    });
    expect(update.results.map(({ status }) => status?.code)).toEqual([0, 5]);
    expect(update.results[0]?.entry).toMatchObject({ hint: 'new', revisionNumber: 1, spiffeId: own('/a') });
    const deleted = await callUnary(client, 'BatchDeleteEntry', { ids: [...ids, 'none', ''] });
    expect(deleted.results.map(({ id, status }) => [id, status?.code])).toEqual([
      ...ids.map((id) => [id, 0]),
      ['none', 5],
      ['', 3],
    ]);
  });

  it('lists by filter and in pages, and counts', async () => {
    const client = server.local(ENTRY);
    for (const name of ['/p1', '/p2', '/p3']) await server.createEntry('spiffe://example.org/paged', name);
    const filter = { byParentId: own('/paged') };
    expect((await callUnary(client, 'CountEntries', { filter })).count).toBe(3);
    const seen: (string | undefined)[] = [];
    let pageToken = '';
    do {
      const page = await callUnary(client, 'ListEntries', { filter, pageSize: 2, pageToken });
      seen.push(...page.entries.map(({ spiffeId }) => spiffeId?.path));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(seen.sort()).toEqual(['/p1', '/p2', '/p3']);
    expect((await callUnary(client, 'ListEntries', { filter })).entries).toHaveLength(3);
    const bySpiffeId = await callUnary(client, 'ListEntries', { filter: { bySpiffeId: own('/p2') } });
    expect(bySpiffeId.entries).toHaveLength(1);
    for (const bad of [
      { byParentId: { trustDomain: 'other.test', path: '/x' } },
      { bySpiffeId: own('/spire/server') },
      { bySelectors: { selectors: [] } },
    ]) {
      await expect(callUnary(client, 'ListEntries', { filter: bad })).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
    await expect(callUnary(client, 'ListEntries', { pageSize: -1 })).rejects.toThrow('page size is negative');
  });

  it('lets an agent of SPIRE keep up: all at once when there is little, revisions first when there is much', async () => {
    const client = await server.remote(ENTRY, agent);
    const one = await server.createEntry(agent.spiffeId, '/sync/0');
    const few = openBidiStream(client, 'SyncAuthorizedEntries');
    await few.send({ outputMask: { spiffeId: true, revisionNumber: true } });
    const all = (await few.messages.next()).value;
    expect(all?.entries.map(({ id }) => id)).toContain(one);
    few.end();
    expect((await few.messages.next()).done).toBe(true);

    const operator = server.local(ENTRY);
    const { results } = await callUnary(operator, 'BatchCreateEntry', {
      entries: Array.from({ length: 1200 }, (_, index) => ({
        spiffeId: own(`/sync/${index + 1}`),
        parentId: own(new URL(agent.spiffeId).pathname),
        selectors: [{ type: 'unix', value: `uid:${index}` }],
      })),
    });
    const ids = results.map(({ entry }) => entry?.id ?? '');
    const many = openBidiStream(client, 'SyncAuthorizedEntries');
    await many.send({});
    const revisions: string[] = [];
    for (let more = true; more;) {
      const page = (await many.messages.next()).value;
      revisions.push(...(page?.entryRevisions ?? []).map(({ id }) => id));
      more = page?.more ?? false;
    }
    expect(revisions).toEqual(expect.arrayContaining(ids));
    await many.send({ ids: [...ids.slice(0, 600), 'not mine'] });
    const entries: string[] = [];
    for (let more = true; more;) {
      const page = (await many.messages.next()).value;
      expect(page?.entries.length).toBeLessThanOrEqual(500);
      entries.push(...(page?.entries ?? []).map(({ id }) => id));
      more = page?.more ?? false;
    }
    expect(entries.sort()).toEqual(ids.slice(0, 600).sort());
    await many.send({ ids: ['not mine'] });
    expect((await many.messages.next()).value).toMatchObject({ entries: [], more: false });
    many.cancel();

    const wrong = openBidiStream(client, 'SyncAuthorizedEntries');
    await wrong.send({ ids: ['x'] });
    await expect(wrong.messages.next()).rejects.toThrow('specifying IDs on initial request is not supported');
    const masked = openBidiStream(client, 'SyncAuthorizedEntries');
    await masked.send({ outputMask: { spiffeId: true } });
    await expect(masked.messages.next()).rejects.toThrow('revision number cannot be masked');
    await callUnary(operator, 'BatchDeleteEntry', { ids });
  });
});

describe('Agent', () => {
  it('lists and counts by filter, and shows what the mask asks for', async () => {
    const client = server.local(AGENT);
    const banned = await server.attestNew();
    await callUnary(client, 'BanAgent', { id: own(new URL(banned.spiffeId).pathname) });
    const isBanned = await callUnary(client, 'ListAgents', { filter: { byBanned: { value: true } } });
    expect(
      isBanned.agents.map(({ id, banned: shown, x509svidSerialNumber }) => [
        id?.path,
        shown,
        x509svidSerialNumber,
      ]),
    ).toEqual([[new URL(banned.spiffeId).pathname, true, '']]);
    const filters = [
      [{ byBanned: { value: false } }, 1],
      [{ byAttestationType: 'join_token' }, 2],
      [{ byAttestationType: 'tpm' }, 0],
      [{ byCanReattest: { value: true } }, 0],
      [{ byExpiresBefore: '2999-01-02 15:04:05 -0700 -07' }, 2],
      [{ byExpiresBefore: '2001-01-02 15:04:05 +0000 UTC' }, 0],
    ] as const;
    for (const [filter, count] of filters) {
      expect([filter, (await callUnary(client, 'CountAgents', { filter })).count]).toEqual([filter, count]);
    }
    await expect(callUnary(client, 'CountAgents', { filter: { byExpiresBefore: 'soon' } })).rejects.toThrow(
      'by_expires_before "soon" is no time; expected the form 2006-01-02 15:04:05 -0700 -07',
    );
    const [masked] = (await callUnary(client, 'ListAgents', { outputMask: { banned: true }, pageSize: 1 }))
      .agents;
    expect([masked?.attestationType, masked?.x509svidSerialNumber]).toEqual(['', '']);
  });

  it('refuses IDs that are no agent of ours, and names those it does not know', async () => {
    const client = server.local(AGENT);
    for (const method of ['GetAgent', 'BanAgent', 'DeleteAgent'] as const) {
      await expect(callUnary(client, method, {})).rejects.toMatchObject({ reason: 'invalid_argument' });
      await expect(callUnary(client, method, { id: own('/web') })).rejects.toThrow(
        'path is not in the agent namespace',
      );
      await expect(
        callUnary(client, method, { id: { trustDomain: 'other.test', path: '/spire/agent/join_token/x' } }),
      ).rejects.toThrow('is not a member of trust domain "example.org"');
      await expect(
        callUnary(client, method, { id: own('/spire/agent/join_token/none') }),
      ).rejects.toMatchObject({
        reason: 'not_found',
        message: 'agent not found',
      });
    }
  });
});

describe('SVID', () => {
  it('mints only for workloads of ours, with one URI name', async () => {
    expect((await server.mint('spiffe://example.org/minted')).spiffeId).toBe('spiffe://example.org/minted');
    await expect(server.mint('spiffe://example.org/spire/server')).rejects.toThrow('is not a workload');
    await expect(server.mint('spiffe://other.test/web')).rejects.toThrow('is not a member');
    await expect(server.mint('https://example.org/')).rejects.toMatchObject({ reason: 'invalid_argument' });
    await expect(callUnary(server.local(SVID), 'MintX509SVID', {})).rejects.toThrow('missing CSR');
  });
});

describe('Bundle', () => {
  it('keeps the bundles of federated trust domains', async () => {
    const client = server.local(BUNDLE);
    const authority = await TestAuthority.create('other.test');
    const bundle = {
      trustDomain: 'other.test',
      x509Authorities: [{ asn1: authority.certificate }],
      refreshHint: 60,
    };
    const created = await callUnary(client, 'BatchCreateFederatedBundle', {
      bundle: [bundle, bundle, { trustDomain: 'example.org' }, { trustDomain: 'Bad' }],
    });
    expect(created.results.map(({ status }) => status?.code)).toEqual([0, 6, 3, 3]);
    expect((await callUnary(client, 'CountBundles', {})).count).toBe(2);
    const listed = await callUnary(client, 'ListFederatedBundles', { outputMask: { refreshHint: true } });
    expect(listed.bundles.map((item) => [item.trustDomain, item.refreshHint, item.x509Authorities])).toEqual([
      ['other.test', 60, []],
    ]);
    const updated = await callUnary(client, 'BatchUpdateFederatedBundle', {
      bundle: [{ trustDomain: 'other.test', refreshHint: 90 }, { trustDomain: 'none.test' }],
      inputMask: { refreshHint: true },
    });
    expect(updated.results.map(({ status }) => status?.code)).toEqual([0, 5]);
    const got = await callUnary(await server.remote(BUNDLE, agent), 'GetFederatedBundle', {
      trustDomain: 'other.test',
    });
    expect([got.refreshHint, got.x509Authorities.length]).toEqual([90, 1]);
    const broken = await callUnary(client, 'BatchSetFederatedBundle', {
      bundle: [{ trustDomain: 'other.test', x509Authorities: [{ asn1: Buffer.from('x') }] }, bundle],
    });
    expect(broken.results.map(({ status }) => status?.code)).toEqual([3, 0]);

    await server.createEntry(agent.spiffeId, '/federated', { federatesWith: ['other.test'] });
    const kept = await callUnary(client, 'BatchDeleteFederatedBundle', {
      trustDomains: ['other.test', 'none.test'],
    });
    expect(kept.results.map(({ status, trustDomain }) => [trustDomain, status?.code])).toEqual([
      ['other.test', 9],
      ['none.test', 5],
    ]);
    const gone = await callUnary(client, 'BatchDeleteFederatedBundle', {
      trustDomains: ['other.test'],
      mode: 'DISSOCIATE',
    });
    expect(gone.results[0]?.status?.code).toBe(0);
    await expect(callUnary(client, 'GetFederatedBundle', { trustDomain: 'other.test' })).rejects.toThrow(
      'bundle not found',
    );
    await expect(callUnary(client, 'GetFederatedBundle', { trustDomain: 'example.org' })).rejects.toThrow(
      'own trust domain',
    );
  });

  it('takes authorities of others into our own, and gives it to anyone', async () => {
    const sister = await TestAuthority.create('example.org');
    const client = server.local(BUNDLE);
    await callUnary(client, 'AppendBundle', { x509Authorities: [{ asn1: sister.certificate }] });
    const bundle = await callUnary(await server.remote(BUNDLE), 'GetBundle', {});
    expect(bundle.x509Authorities.some(({ asn1 }) => asn1.equals(sister.certificate))).toBe(true);
    // From the next connection on, it vouches for its own.
    const svid = await sister.issueX509Svid('/sister');
    const known = await server.remote(AGENT, svid);
    await expect(callUnary(known, 'PostStatus', {})).rejects.toMatchObject({ reason: 'agent_not_attested' });
    await expect(callUnary(client, 'AppendBundle', {})).rejects.toThrow('no authorities to append');
  });
});

describe('Debug, Logger and Health', () => {
  it('tell of the server', async () => {
    const info = await callUnary(server.local('spire.api.server.debug.v1.Debug'), 'GetInfo', {});
    expect(info.svidChain.map(({ id }) => id?.path)).toEqual(['/spire/server', '']);
    expect(info.agentsCount).toBeGreaterThan(0);
  });

  it('change the log level and set it back', async () => {
    const client = server.local(LOGGER);
    const launched = { currentLevel: 'DEBUG', launchLevel: 'DEBUG' };
    expect(await callUnary(client, 'GetLogger', {})).toEqual(launched);
    await expect(callUnary(client, 'SetLogLevel', {})).rejects.toThrow('cannot be LogLevel_UNSPECIFIED');
    expect(await callUnary(client, 'SetLogLevel', { newLevel: 'ERROR' })).toEqual({
      ...launched,
      currentLevel: 'ERROR',
    });
    await callUnary(client, 'GetLogger', {});
    expect(await callUnary(client, 'ResetLogLevel', {})).toEqual(launched);
  });

  it('say that it serves, over both doors, to those who ask once and those who watch', async () => {
    for (const client of [server.local(HEALTH), await server.remote(HEALTH)]) {
      expect((await callUnary(client, 'Check', {})).status).toBe('SERVING');
      expect((await callUnary(client, 'List', {})).statuses[ENTRY]?.status).toBe('SERVING');
      await expect(callUnary(client, 'Check', { service: 'none' })).rejects.toMatchObject({
        reason: 'not_found',
      });
      for await (const { status } of openServerStream(client, 'Watch', { service: 'none' })) {
        expect(status).toBe('SERVICE_UNKNOWN');
        break;
      }
    }
  });
});
