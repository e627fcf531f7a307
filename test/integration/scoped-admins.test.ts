/** What members of a role can do to get beyond it: nothing. */
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { _spire_api_server_entry_v1_ListEntriesRequest_Filter as EntryListFilter } from '@bonafide/shared/rpc/gen/spire/api/server/entry/v1/ListEntriesRequest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AGENT,
  CONFIG,
  ENTRY,
  SVID,
  entryOf,
  opsOf,
  opsOfLab,
  own,
  register,
  type Registered,
} from './scoped-admins.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const OK = 0;
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const DENIED = 7;

let server: InProcessServer;
let registered: Registered;
let ops: Attested;
let entries: ServiceClient<typeof ENTRY>;

beforeAll(async () => {
  server = await InProcessServer.start({ config: CONFIG });
  registered = await register(server);
  ops = await server.mint(opsOf('alder'));
  entries = await server.remote(ENTRY, ops);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

type Statuses = readonly (readonly [number | undefined, string | undefined])[];

async function create(...wanted: readonly object[]): Promise<Statuses> {
  const { results } = await callUnary(entries, 'BatchCreateEntry', { entries: [...wanted] });
  return results.map(({ status }) => [status?.code, status?.message]);
}

async function update(inputMask: object | undefined, ...wanted: readonly object[]): Promise<Statuses> {
  const mask = inputMask === undefined ? {} : { inputMask };
  const { results } = await callUnary(entries, 'BatchUpdateEntry', { entries: [...wanted], ...mask });
  return results.map(({ status }) => [status?.code, status?.message]);
}

async function remove(...ids: readonly string[]): Promise<Statuses> {
  const { results } = await callUnary(entries, 'BatchDeleteEntry', { ids: [...ids] });
  return results.map(({ status }) => [status?.code, status?.message]);
}

describe('a member of a role', () => {
  it('makes, sees, changes and deletes entries of its own', async () => {
    expect(await create(entryOf('alder', 'own', { id: 'alder.own' }))).toEqual([[OK, 'OK']]);
    expect((await callUnary(entries, 'GetEntry', { id: 'alder.own' })).spiffeId?.path).toBe('/alder/own');
    expect(await update({ hint: true }, { id: 'alder.own', hint: 'new' })).toEqual([[OK, 'OK']]);
    expect(await create(entryOf('alder', 'own'))).toEqual([[ALREADY_EXISTS, 'similar entry already exists']]);
    expect(await remove('alder.own')).toEqual([[OK, 'OK']]);
  });

  it.each<[string, object]>([
    ['a SPIFFE ID of another team', entryOf('birch', 'x')],
    ['a SPIFFE ID beside its prefix', entryOf('alder', 'x', { spiffeId: own('/alder-lab/x') })],
    ['the prefix itself', entryOf('alder', 'x', { spiffeId: own('/alder') })],
    ['an admin entry', entryOf('alder', 'x', { admin: true })],
    ['a downstream entry', entryOf('alder', 'x', { downstream: true })],
    ["another team's parent", entryOf('alder', 'x', { parentId: own('/birch/nodes') })],
    ['an alias of nodes', entryOf('alder', 'x', { parentId: own('/spire/server') })],
    [
      'another agent as parent',
      entryOf('alder', 'x', { parentId: own('/spire/agent/join_token/birch-token') }),
    ],
    [
      'selectors that are not its own',
      entryOf('alder', 'x', { selectors: [{ type: 'k8s', value: 'ns:birch' }] }),
    ],
    [
      'one selector of many that is not its own',
      entryOf('alder', 'x', {
        selectors: [
          { type: 'unix', value: 'uid:1' },
          { type: 'k8s', value: 'ns:alder2' },
        ],
      }),
    ],
    ['DNS names of others', entryOf('alder', 'x', { dnsNames: ['web.birch.example'] })],
    ['a DNS name that only ends like its own', entryOf('alder', 'x', { dnsNames: ['xalder.example'] })],
    ['federation', entryOf('alder', 'x', { federatesWith: ['elsewhere.example'] })],
    ['stored SVIDs', entryOf('alder', 'x', { storeSvid: true })],
    ['a longer life', entryOf('alder', 'x', { x509SvidTtl: 7201 })],
    ['a longer life of JWTs', entryOf('alder', 'x', { jwtSvidTtl: 7201 })],
    ['the ID of an admin of the configuration', entryOf('alder', 'chief')],
    ['the ID of a member of a role that it does not have', entryOf('alder', 'reader')],
    ['an entry ID of another name', entryOf('alder', 'x', { id: 'birch-entry-9' })],
    ['an entry ID that is taken by others', entryOf('alder', 'x', { id: 'birch-entry-1' })],
  ])('cannot have %s', async (_what, entry) => {
    const [[code, message] = []] = await create(entry);
    expect([code, message]).toEqual([DENIED, expect.any(String)]);
    const id = 'alder-entry-1';
    const { id: _id, ...changes } = entry as { id?: string };
    if (_id === undefined) expect((await update(undefined, { ...changes, id }))[0]?.[0]).toBe(DENIED);
    expect((await callUnary(entries, 'GetEntry', { id })).spiffeId?.path).toBe('/alder/web-1');
  });

  it('cannot tell entries of others from entries that are not there', async () => {
    const foreign = registered.ids.birch;
    expect(foreign).toHaveLength(4);
    for (const id of [...foreign, 'no-such-entry']) {
      await expect(callUnary(entries, 'GetEntry', { id })).rejects.toMatchObject({
        reason: 'not_found',
        message: 'entry not found',
      });
    }
    const missing = [NOT_FOUND, 'entry not found'];
    expect(new Set((await remove(...foreign, 'no-such-entry')).map(String))).toEqual(
      new Set([String(missing)]),
    );
    for (const mask of [undefined, { hint: true }, { spiffeId: true }, {}]) {
      const changed = await update(
        mask,
        ...[...foreign, 'none'].map((id) => ({ ...entryOf('alder', 'x'), id })),
      );
      expect(new Set(changed.map(String))).toEqual(new Set([String(missing)]));
    }
    const admin = server.local(ENTRY);
    expect((await callUnary(admin, 'CountEntries', {})).count).toBe(8);
  });

  it('moves no entry out of its scope, whatever the mask leaves out', async () => {
    for (const [mask, entry] of [
      [{ spiffeId: true }, { spiffeId: own('/birch/web-9') }],
      [{ parentId: true }, { parentId: own('/birch/nodes') }],
      [{ selectors: true }, { selectors: [{ type: 'k8s', value: 'ns:birch' }] }],
      [{ admin: true }, { admin: true }],
      [{ downstream: true }, { downstream: true }],
      [{ dnsNames: true }, { dnsNames: ['a.birch.example'] }],
      [{ storeSvid: true }, { storeSvid: true }],
      [{ x509SvidTtl: true }, { x509SvidTtl: 90_000 }],
    ] as const) {
      expect((await update(mask, { id: 'alder-entry-2', ...entry }))[0]?.[0]).toBe(DENIED);
    }
    expect(await update({ hint: true }, { id: 'alder-entry-2', hint: 'still mine', admin: true })).toEqual([
      [OK, 'OK'],
    ]);
  });

  it('lists and counts what is its own, page by page, with any filter', async () => {
    expect((await callUnary(entries, 'CountEntries', {})).count).toBe(4);
    const seen: string[] = [];
    let pageToken = '';
    let pages = 0;
    do {
      const page = await callUnary(entries, 'ListEntries', { pageSize: 1, pageToken });
      expect(page.entries).toHaveLength(1);
      seen.push(...page.entries.map(({ id }) => id));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== '' && pages < 20);
    expect(seen.sort()).toEqual([...registered.ids.alder].sort());
    for (const filter of [
      { bySpiffeId: own('/birch/web-1') },
      { byParentId: own('/birch/nodes') },
      { bySelectors: { selectors: [{ type: 'k8s', value: 'ns:birch' }], match: 'MATCH_SUPERSET' } },
      { byHint: { value: 'birch-hint' } },
    ] as EntryListFilter[]) {
      expect((await callUnary(entries, 'ListEntries', { filter })).entries).toEqual([]);
      expect((await callUnary(entries, 'CountEntries', { filter })).count).toBe(0);
    }
    expect(
      (
        await callUnary(entries, 'CountEntries', {
          filter: { byParentId: own('/spire/agent/join_token/alder-token') },
        })
      ).count,
    ).toBe(1);
  });

  it('does nothing to entries that operators gave more than it could', async () => {
    const admin = server.local(ENTRY);
    const more = entryOf('alder', 'vip', { id: 'vip', admin: true });
    await callUnary(admin, 'BatchCreateEntry', { entries: [more] });
    expect((await callUnary(entries, 'GetEntry', { id: 'vip' })).admin).toBe(true);
    expect((await update({ hint: true }, { id: 'vip', hint: 'x' }))[0]?.[0]).toBe(DENIED);
    expect(
      (
        await update(
          { admin: true, selectors: true },
          { id: 'vip', selectors: [{ type: 'unix', value: 'uid:0' }] },
        )
      )[0]?.[0],
    ).toBe(DENIED);
    expect((await remove('vip'))[0]?.[0]).toBe(DENIED);
    // Another entry of the same ID would be an admin just as well.
    expect(await create(entryOf('alder', 'vip', { selectors: [{ type: 'unix', value: 'uid:0' }] }))).toEqual([
      [DENIED, 'spiffe://example.org/alder/vip has an admin or downstream entry'],
    ]);
    expect(
      (await update({ spiffeId: true }, { id: 'alder-entry-3', spiffeId: own('/alder/vip') }))[0]?.[0],
    ).toBe(DENIED);
    await expect(mintJwt('/alder/vip')).rejects.toMatchObject({ reason: 'permission_denied' });
    await callUnary(admin, 'BatchDeleteEntry', { ids: ['vip'] });
  });

  it('mints SVIDs of its own alone', async () => {
    await expect(mintJwt('/alder/tool')).resolves.toBeDefined();
    await expect(mintX509('/alder/tool', ['a.alder.example'])).resolves.toBeDefined();
    for (const path of ['/birch/tool', '/alder-lab/tool', '/alder', '/alder/chief', '/alder/reader']) {
      await expect(mintJwt(path)).rejects.toMatchObject({ reason: 'permission_denied' });
      await expect(mintX509(path)).rejects.toMatchObject({ reason: 'permission_denied' });
    }
    await expect(mintX509('/alder/tool', ['a.birch.example'])).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    await expect(mintJwt('/alder/tool', 7201)).rejects.toMatchObject({ reason: 'permission_denied' });
  });

  it('sees the agents of its role and no others', async () => {
    const agents = await server.remote(AGENT, ops);
    const listed = await callUnary(agents, 'ListAgents', {});
    expect(listed.agents.map(({ id }) => id?.path)).toEqual(['/spire/agent/join_token/alder-token']);
    expect((await callUnary(agents, 'CountAgents', {})).count).toBe(1);
    expect(
      (await callUnary(agents, 'CountAgents', { filter: { byAttestationType: 'join_token' } })).count,
    ).toBe(1);
    const get = (path: string): Promise<unknown> => callUnary(agents, 'GetAgent', { id: own(path) });
    for (const name of ['birch-token', 'no-such-token']) {
      await expect(get(`/spire/agent/join_token/${name}`)).rejects.toMatchObject({
        reason: 'not_found',
        message: 'agent not found',
      });
    }
    await expect(
      callUnary(agents, 'BanAgent', { id: own('/spire/agent/join_token/alder-token') }),
    ).rejects.toThrow('authorization denied for method');
  });
});

it('a role has the verbs that it names and no more; a prefix ends at a slash', async () => {
  const reader = await server.remote(ENTRY, await server.mint('spiffe://example.org/alder/reader'));
  expect((await callUnary(reader, 'CountEntries', {})).count).toBe(4);
  await expect(callUnary(reader, 'BatchDeleteEntry', { ids: ['alder-entry-1'] })).rejects.toThrow(
    'authorization denied',
  );
  const lab = await server.remote(ENTRY, await server.mint(opsOfLab));
  expect((await callUnary(lab, 'CountEntries', {})).count).toBe(0);
});

async function mintJwt(path: string, ttl = 0): Promise<unknown> {
  const client = await server.remote(SVID, ops);
  return callUnary(client, 'MintJWTSVID', { id: own(path), audience: ['a'], ttl });
}

async function mintX509(path: string, dnsNames: readonly string[] = []): Promise<unknown> {
  const client = await server.remote(SVID, ops);
  const uriNames = [`spiffe://example.org${path}`];
  const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'), {
    uriNames,
    dnsNames,
  });
  return callUnary(client, 'MintX509SVID', { csr });
}
