/** The JWT and WIT authorities of a foreign trust domain, from its bundle endpoint to the workloads that may have them. */
import { callWorkloadApi, firstOf } from '@bonafide/agent/cli/api/workload-call';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const OTHER_ID = 'spiffe://other.test';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';

let own: InProcessServer;
let other: InProcessServer;
let agent: InProcessAgent;
let entryId: string;

beforeAll(async () => {
  const endpoint = { address: '127.0.0.1', port: 0, refresh_hint: '5s', profile: { https_spiffe: {} } };
  const federation = { bundle_endpoint: endpoint };
  other = await InProcessServer.start({ config: { server: { trust_domain: 'other.test', federation } } });
  own = await InProcessServer.start();
  const results = await callUnary(
    own.local('spire.api.server.trustdomain.v1.TrustDomain'),
    'BatchCreateFederationRelationship',
    {
      federationRelationships: [
        {
          trustDomain: 'other.test',
          bundleEndpointUrl: `https://127.0.0.1:${other.bundleEndpointPort}/`,
          httpsSpiffe: { endpointSpiffeId: `${OTHER_ID}/spire/server` },
          // What the first connection is verified by; keys for tokens come from the endpoint alone.
          trustDomainBundle: await callUnary(other.local(BUNDLE), 'GetBundle', {
            outputMask: { x509Authorities: true },
          }),
        },
      ],
    },
  );
  expect(results.results[0]?.status?.message).toBe('OK');
  const joinToken = await own.createToken();
  entryId = await own.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
  agent = await InProcessAgent.start({ server: own, joinToken });
  await agent.fetched('the X.509-SVID');
});

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await own[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

/** By trust domain, as a workload is given them. */
function keyIds(method: 'FetchJWTBundles' | 'FetchWITBundles'): Promise<Record<string, string[]>> {
  const use = method === 'FetchJWTBundles' ? 'jwt-svid' : 'wit-svid';
  return callWorkloadApi(
    { socketPath: agent.socketPath, timeout: 10 },
    createRecordedHost(),
    async (client, settings) => {
      const { bundles } = await firstOf(openServerStream(client, method, {}, settings));
      return Object.fromEntries(
        Object.entries(bundles).map(([id, jwks]) => [
          id,
          readJwkSet(Buffer.from(jwks), use).map(({ keyId }) => keyId),
        ]),
      );
    },
  );
}

function validate(svid: string): Promise<string> {
  return callWorkloadApi(
    { socketPath: agent.socketPath, timeout: 10 },
    createRecordedHost(),
    async (client, settings) =>
      (await callUnary(client, 'ValidateJWTSVID', { audience: 'db', svid }, settings)).spiffeId,
  );
}

async function mintForeign(): Promise<string> {
  const { svid } = await callUnary(other.local('spire.api.server.svid.v1.SVID'), 'MintJWTSVID', {
    id: { trustDomain: 'other.test', path: '/client' },
    audience: ['db'],
  });
  return svid?.token ?? '';
}

async function federatesWith(...trustDomains: string[]): Promise<void> {
  const { results } = await callUnary(own.local('spire.api.server.entry.v1.Entry'), 'BatchUpdateEntry', {
    entries: [{ id: entryId, federatesWith: trustDomains }],
    inputMask: { federatesWith: true },
  });
  expect(results[0]?.status?.message).toBe('OK');
}

describe('the keys for tokens of a foreign trust domain', () => {
  it('stay away from a workload that is not entitled', async () => {
    await waitFor('the foreign bundle', async () => {
      const bundle = await callUnary(own.local(BUNDLE), 'GetFederatedBundle', { trustDomain: 'other.test' });
      return bundle.jwtAuthorities.length > 0;
    });
    expect(Object.keys(await keyIds('FetchJWTBundles'))).toEqual(['spiffe://example.org']);
    expect(Object.keys(await keyIds('FetchWITBundles'))).toEqual(['spiffe://example.org']);
    await expect(validate(await mintForeign())).rejects.toThrow('no bundle is held');
  });

  it('reach it as soon as its entry says so, and its tokens are valid', async () => {
    await federatesWith('other.test');
    const { jwtAuthorities, witAuthorities } = bundleFromProto(
      await callUnary(other.local(BUNDLE), 'GetBundle', {}),
    );
    await waitFor('the bundle', async () => OTHER_ID in (await keyIds('FetchJWTBundles')));
    expect((await keyIds('FetchJWTBundles'))[OTHER_ID]).toEqual(jwtAuthorities.map(({ keyId }) => keyId));
    expect((await keyIds('FetchWITBundles'))[OTHER_ID]).toEqual(witAuthorities.map(({ keyId }) => keyId));
    expect(witAuthorities.length).toBeGreaterThan(0);
    expect(await validate(await mintForeign())).toBe(`${OTHER_ID}/client`);
  });

  it('follow their rotation', async () => {
    const authorities = other.local('spire.api.server.localauthority.v1.LocalAuthority');
    const { preparedAuthority: next } = await callUnary(authorities, 'PrepareJWTAuthority', {});
    const id = next?.authorityId ?? '';
    await waitFor('the next key', async () => (await keyIds('FetchJWTBundles'))[OTHER_ID]?.includes(id), {
      limitMs: 150_000,
    });
    await callUnary(authorities, 'ActivateJWTAuthority', { authorityId: id });
    const token = await mintForeign();
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as object;
    expect(header).toMatchObject({ kid: id });
    expect(await validate(token)).toBe(`${OTHER_ID}/client`);
  });

  it('are taken from it when it is not entitled any more', async () => {
    await federatesWith();
    await waitFor('the loss', async () => !(OTHER_ID in (await keyIds('FetchJWTBundles'))));
    expect(await keyIds('FetchWITBundles')).not.toHaveProperty([OTHER_ID]);
    await expect(validate(await mintForeign())).rejects.toThrow('no bundle is held');
  });
});
