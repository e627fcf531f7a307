import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { runServerProgram } from '@bonafide/server/cli/program';
import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { FederationRelationship } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import { bundleToProto } from '@bonafide/shared/rpc/codec/bundle';
import { ScriptedEndpoint, serveText } from '@bonafide/testing/scripted-endpoint';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

const TRUST_DOMAIN = 'spire.api.server.trustdomain.v1.TrustDomain';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ENDPOINT_ID = 'spiffe://other.test/spire/server';

let other: TestAuthority;
beforeAll(async () => {
  other = await TestAuthority.create('other.test');
});

let server: InProcessServer;
let client: ServiceClient<typeof TRUST_DOMAIN>;
beforeEach(async () => {
  server = await InProcessServer.start();
  client = server.local(TRUST_DOMAIN);
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const byWeb = (trustDomain: string, url = 'https://localhost:1/'): FederationRelationship => ({
  trustDomain,
  bundleEndpointUrl: url,
  httpsWeb: {},
});
const bySpiffe = (trustDomain: string, url = 'https://localhost:1/'): FederationRelationship => ({
  trustDomain,
  bundleEndpointUrl: url,
  httpsSpiffe: { endpointSpiffeId: ENDPOINT_ID },
});

async function create(...items: FederationRelationship[]) {
  const request = { federationRelationships: items };
  return (await callUnary(client, 'BatchCreateFederationRelationship', request)).results;
}

describe('TrustDomain API', () => {
  it('answers each item of a batch for itself, with the messages that SPIRE gives', async () => {
    const results = await create(
      bySpiffe('other.test'),
      byWeb('other.test'),
      byWeb('example.org'),
      byWeb('Bad'),
      byWeb('third.test', 'http://third.test'),
      { trustDomain: 'third.test', bundleEndpointUrl: 'https://third.test' },
      byWeb('spiffe://fourth.test'),
    );
    expect(results.map(({ status }) => [status?.code, status?.message])).toEqual([
      [0, 'OK'],
      [6, expect.stringMatching(/^failed to create federation relationship: /)],
      [3, 'unable to create federation relationship for server trust domain'],
      [
        3,
        expect.stringMatching(/^failed to convert federation relationship: failed to parse trust domain: /),
      ],
      [3, 'failed to convert federation relationship: bundle endpoint URL must use the https scheme'],
      [3, expect.stringMatching(/unsupported bundle endpoint profile type/)],
      [0, 'OK'],
    ]);
    expect(results[0]?.federationRelationship).toMatchObject({
      trustDomain: 'other.test',
      httpsSpiffe: { endpointSpiffeId: ENDPOINT_ID },
    });
    expect(results[6]?.federationRelationship?.trustDomain).toBe('fourth.test');
  });

  it('gets, lists in pages, and shows by mask', async () => {
    await create(byWeb('c.test'), byWeb('a.test'), bySpiffe('b.test'));
    const first = await callUnary(client, 'ListFederationRelationships', { pageSize: 2 });
    expect(first.federationRelationships.map(({ trustDomain }) => trustDomain)).toEqual(['a.test', 'b.test']);
    const rest = await callUnary(client, 'ListFederationRelationships', {
      pageSize: 2,
      pageToken: first.nextPageToken,
    });
    expect(rest.federationRelationships.map(({ trustDomain }) => trustDomain)).toEqual(['c.test']);
    expect(rest.nextPageToken).toBe('');
    const masked = await callUnary(client, 'GetFederationRelationship', {
      trustDomain: 'b.test',
      outputMask: { bundleEndpointUrl: true },
    });
    expect(masked.bundleEndpointUrl).toBe('https://localhost:1/');
    expect(masked.httpsSpiffe ?? undefined).toBeUndefined();
    await expect(
      callUnary(client, 'GetFederationRelationship', { trustDomain: 'd.test' }),
    ).rejects.toMatchObject({
      reason: 'not_found',
      message: 'federation relationship does not exist',
    });
  });

  it('updates what the mask names, and sets a bundle with it', async () => {
    await create(byWeb('other.test'));
    const update = async (item: FederationRelationship, inputMask?: object) => {
      const request = { federationRelationships: [item], ...(inputMask && { inputMask }) };
      const { results } = await callUnary(client, 'BatchUpdateFederationRelationship', request);
      return results[0];
    };
    const url = await update(
      { trustDomain: 'other.test', bundleEndpointUrl: 'https://new.test/' },
      { bundleEndpointUrl: true },
    );
    expect(url?.federationRelationship).toMatchObject({
      bundleEndpointUrl: 'https://new.test/',
      httpsWeb: {},
    });
    const whole = await update({
      ...bySpiffe('other.test'),
      trustDomainBundle: bundleToProto(other.bundle()),
    });
    expect(whole?.federationRelationship?.trustDomainBundle?.x509Authorities).toHaveLength(1);
    const bundles = server.local(BUNDLE);
    const held = await callUnary(bundles, 'GetFederatedBundle', { trustDomain: 'other.test' });
    expect(held.x509Authorities).toHaveLength(1);
    expect((await update(byWeb('nobody.test')))?.status).toMatchObject({
      code: 5,
      message: expect.stringMatching(/^failed to update federation relationship: /) as string,
    });
  });

  it('deletes the relationship and keeps the bundle', async () => {
    await create({ ...byWeb('other.test'), trustDomainBundle: bundleToProto(other.bundle()) });
    const { results } = await callUnary(client, 'BatchDeleteFederationRelationship', {
      trustDomains: ['spiffe://other.test', 'other.test', ''],
    });
    expect(results.map(({ trustDomain, status }) => [trustDomain, status?.code, status?.message])).toEqual([
      ['other.test', 0, 'OK'],
      ['other.test', 5, 'federation relationship not found'],
      ['', 3, 'missing trust domain'],
    ]);
    const held = await callUnary(server.local(BUNDLE), 'GetFederatedBundle', { trustDomain: 'other.test' });
    expect(held.trustDomain).toBe('other.test');
  });

  it('refreshes before it answers, and says why when it cannot', async () => {
    const svid = await other.issueX509Svid('/spire/server');
    const text = formatBundleDocument({ ...other.bundle(), sequenceNumber: 12 });
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(text));
    await create({
      ...bySpiffe('other.test', endpoint.url),
      trustDomainBundle: bundleToProto(other.bundle()),
    });
    await callUnary(client, 'RefreshBundle', { trustDomain: 'other.test' });
    const bundles = server.local(BUNDLE);
    const held = await callUnary(bundles, 'GetFederatedBundle', { trustDomain: 'other.test' });
    expect(held.sequenceNumber).toBe(12);
    endpoint.script = serveText('{"keys":[]}');
    await expect(callUnary(client, 'RefreshBundle', { trustDomain: 'other.test' })).rejects.toThrow(
      /^failed to refresh bundle: the bundle is refused: it has no X\.509 authorities left/,
    );
    await expect(callUnary(client, 'RefreshBundle', { trustDomain: 'nobody.test' })).rejects.toMatchObject({
      reason: 'not_found',
      message: 'no relationship with trust domain "nobody.test"',
    });
  });

  it('remembers relationships over a restart', async () => {
    using directory = createTemporaryDirectory();
    await using first = await InProcessServer.start({ directory });
    await callUnary(first.local(TRUST_DOMAIN), 'BatchCreateFederationRelationship', {
      federationRelationships: [bySpiffe('other.test')],
    });
    await first.stop();
    await using second = await InProcessServer.start({ directory });
    const again = await callUnary(second.local(TRUST_DOMAIN), 'GetFederationRelationship', {
      trustDomain: 'other.test',
    });
    expect(again.httpsSpiffe?.endpointSpiffeId).toBe(ENDPOINT_ID);
  });
});

describe('federation commands', () => {
  async function run(...argv: string[]) {
    return runWithInput('', ...argv);
  }
  async function runWithInput(input: string, ...argv: string[]) {
    const host = createRecordedHost({
      input,
      environment: { SPIRE_SERVER_PRIVATE_SOCKET: server.socketPath },
    });
    const code = await runServerProgram(['federation', ...argv], host);
    return { code, ...host.printed };
  }

  const CREATE = [
    ...['create', '-trustDomain', 'other.test', '-bundleEndpointURL', 'https://localhost:1/'],
    ...['-bundleEndpointProfile', 'https_spiffe', '-endpointSpiffeID', ENDPOINT_ID],
  ];
  const TEXT = [
    'Trust domain              : other.test',
    'Bundle endpoint URL       : https://localhost:1/',
    'Bundle endpoint profile   : https_spiffe',
    `Endpoint SPIFFE ID        : ${ENDPOINT_ID}`,
    '',
  ].join('\n');

  it('take the flags of SPIRE and print its lines', async () => {
    expect(await run(...CREATE)).toMatchObject({ code: 0, stdout: `\n${TEXT}`, stderr: '' });
    const again = await run(...CREATE);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain(
      'Failed to create the following federation relationship (code: AlreadyExists, msg: ',
    );
    expect(again.stderr).toContain(TEXT);
    expect(again.stderr).toContain('failed to create one or more federation relationships');
    expect((await run('list')).stdout).toBe(`Found 1 federation relationship\n\n${TEXT}`);
    expect((await run('show', '-trustDomain', 'other.test')).stdout).toBe(
      `Found a federation relationship with trust domain other.test:\n\n${TEXT}`,
    );
    const web = await run(
      ...['update', '--trust-domain', 'other.test', '--bundle-endpoint-url', 'https://b.test'],
      ...['--bundle-endpoint-profile', 'https_web', '--output', 'json'],
    );
    expect(JSON.parse(web.stdout)).toMatchObject({
      results: [
        {
          status: { code: 0, message: 'OK' },
          federation_relationship: { trust_domain: 'other.test', https_web: {} },
        },
      ],
    });
    expect((await run('delete', '-id', 'spiffe://other.test')).stdout).toBe(
      'federation relationship deleted.\n',
    );
    const gone = await run('delete', '-id', 'other.test');
    expect(gone).toMatchObject({ code: 1, stdout: '' });
    expect(gone.stderr).toContain(
      'failed to delete federation relationship "other.test": federation relationship not found',
    );
    expect((await run('list')).stdout).toBe('Found 0 federation relationships\n');
    const refresh = await run('refresh', '-id', 'other.test');
    expect(refresh.code).toBe(1);
    expect(refresh.stderr).toContain('there is no federation relationship with trust domain "other.test"');
  });

  it('take many from a file or standard input, bundles and all', async () => {
    const document = formatBundleDocument(other.bundle());
    const file = JSON.stringify({
      federationRelationships: [
        {
          trustDomain: 'other.test',
          bundleEndpointURL: 'https://localhost:1/',
          bundleEndpointProfile: 'https_spiffe',
          endpointSPIFFEID: ENDPOINT_ID,
          trustDomainBundle: JSON.parse(document) as object,
          trustDomainBundleFormat: 'spiffe',
        },
        {
          trustDomain: 'web.test',
          bundleEndpointURL: 'https://web.test',
          bundleEndpointProfile: 'https_web',
        },
      ],
    });
    expect((await runWithInput(file, 'create', '-data', '-')).code).toBe(0);
    const path = server.directory.join('relationships.json');
    writeFileSync(path, file);
    expect((await run('update', '--data', path)).code).toBe(0);
    const held = await callUnary(server.local(BUNDLE), 'GetFederatedBundle', { trustDomain: 'other.test' });
    expect(held.x509Authorities).toHaveLength(1);
    expect((await run('list')).stdout).toContain('Found 2 federation relationships');
  });

  it.each<[string[], string]>([
    [['create'], 'trust domain is required'],
    [['create', '--trust-domain', 'a.test'], 'bundle endpoint URL is required'],
    [['create', '--bundle-endpoint-url', 'http://a.test'], 'must use the https scheme'],
    [CREATE.slice(0, -2), "endpoint SPIFFE ID is required if 'https_spiffe' endpoint profile is set"],
    [[...CREATE, '--bundle-endpoint-profile', 'https_web'], "goes with the profile 'https_spiffe' only"],
    [[...CREATE, '--data', '-'], 'leave out --trust-domain'],
    [['delete'], 'id is required'],
    [['refresh'], 'id is required'],
    [['show'], 'a trust domain name is required'],
  ])('refuse %j', async (argv, message) => {
    const { code, stderr } = await run(...argv);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});
