import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { verifyX509Authority, verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const SVID = 'spire.api.server.svid.v1.SVID';
const trustDomain = parseTrustDomain('example.org');

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function startServer(config: object = {}): Promise<InProcessServer> {
  const server = await InProcessServer.start({ config: config as Record<string, never> });
  open.push(server);
  return server;
}

/** A workload of `parent` that a downstream entry names. */
async function downstreamOf(parent: InProcessServer, path: string): Promise<Attested> {
  await parent.createEntry('spiffe://example.org/spire/agent/join_token/none', path, { downstream: true });
  return parent.mint(`spiffe://example.org${path}`);
}

async function authoritiesOf(server: InProcessServer): Promise<readonly Buffer[]> {
  const { x509Authorities } = await callUnary(server.local(BUNDLE), 'GetBundle', {});
  return x509Authorities.map(({ asn1 }) => asn1);
}

async function keyIdsOf(server: InProcessServer, kind: 'jwt' | 'wit'): Promise<readonly string[]> {
  const bundle = await callUnary(server.local(BUNDLE), 'GetBundle', {});
  return (kind === 'jwt' ? bundle.jwtAuthorities : bundle.witAuthorities).map(({ keyId }) => keyId);
}

/** A server below `parent`, beside a Workload API that gives it what an agent would. */
async function startBelow(
  parent: InProcessServer,
  path: string,
  config: object = {},
): Promise<InProcessServer> {
  const directory = createTemporaryDirectory();
  open.push({
    [Symbol.asyncDispose]: () => {
      directory.remove();
      return Promise.resolve();
    },
  });
  const api = await TestWorkloadApi.start(directory.join('agent.sock'));
  open.push(api);
  const identity = await downstreamOf(parent, path);
  const { notBefore, notAfter } = parseX509Certificate(identity.certificateChain[0] ?? Buffer.of());
  const svid: X509Svid = { ...identity, notBefore, notAfter, hint: undefined };
  const x509Authorities = (await authoritiesOf(parent)).map((certificate) => ({
    certificate,
    isTainted: false,
  }));
  api.serve({
    svids: [svid],
    bundles: [
      {
        trustDomain,
        x509Authorities,
        jwtAuthorities: [],
        witAuthorities: [],
        refreshHintSeconds: undefined,
        sequenceNumber: 1,
      },
    ],
  });
  return startServer({
    ...config,
    plugins: {
      UpstreamAuthority: {
        spire: { server_address: '127.0.0.1', server_port: parent.port, workload_api_socket: api.socketPath },
      },
    },
  });
}

async function csrOf(): Promise<Buffer> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  return createCertificateSigningRequest(signer, { uriNames: ['spiffe://example.org'] });
}

const tokenKey = (keyId: string, ttlSeconds = 3600): object => ({
  publicKey: exportSpki(makeKeyPair('ec', { namedCurve: 'P-256' }).publicKey),
  keyId,
  expiresAt: unixSeconds(new Date()) + ttlSeconds,
});

describe('NewDownstreamX509CA', () => {
  it('signs an authority for a downstream entry, within the life of its own', async () => {
    const server = await startServer({ server: { ca_ttl: '1h' } });
    const client = await server.remote(SVID, await downstreamOf(server, '/below'));
    const answer = await callUnary(client, 'NewDownstreamX509CA', {
      csr: await csrOf(),
      preferredTtl: 86_400,
    });
    const authorities = await authoritiesOf(server);
    expect(answer.x509Authorities).toEqual(authorities);
    const authority = verifyX509Authority({
      chain: answer.caCertChain,
      authorities,
      now: new Date(),
      trustDomain,
    });
    const [root] = authorities.map((der) => parseX509Certificate(der));
    expect(authority.notAfter).toEqual(root?.notAfter);
    const short = await callUnary(client, 'NewDownstreamX509CA', { csr: await csrOf(), preferredTtl: 60 });
    const { notAfter } = parseX509Certificate(short.caCertChain[0] ?? Buffer.of());
    expect(notAfter.getTime() - Date.now()).toBeLessThanOrEqual(60_000);
  });

  it('is for downstream entries alone, and for as long as they are there', async () => {
    const server = await startServer();
    const csr = await csrOf();
    const refusal = { reason: 'permission_denied' };
    const agent = await server.attestNew();
    await server.createEntry(agent.spiffeId, '/admin', { admin: true });
    const others = [
      undefined,
      agent,
      await server.mint('spiffe://example.org/web'),
      await server.mint('spiffe://example.org/admin'),
    ];
    for (const identity of others) {
      const client = await server.remote(SVID, identity);
      await expect(callUnary(client, 'NewDownstreamX509CA', { csr })).rejects.toMatchObject(refusal);
      const bundle = await server.remote(BUNDLE, identity);
      const jwtAuthority = tokenKey('stolen');
      await expect(callUnary(bundle, 'PublishJWTAuthority', { jwtAuthority })).rejects.toMatchObject(refusal);
      const witAuthority = jwtAuthority;
      await expect(callUnary(bundle, 'PublishWITAuthority', { witAuthority })).rejects.toMatchObject(refusal);
    }
    await expect(callUnary(server.local(SVID), 'NewDownstreamX509CA', { csr })).rejects.toMatchObject(
      refusal,
    );

    const entryId = await server.createEntry(agent.spiffeId, '/below', { downstream: true });
    const client = await server.remote(SVID, await server.mint('spiffe://example.org/below'));
    await callUnary(client, 'NewDownstreamX509CA', { csr });
    await callUnary(server.local('spire.api.server.entry.v1.Entry'), 'BatchDeleteEntry', { ids: [entryId] });
    await expect(callUnary(client, 'NewDownstreamX509CA', { csr })).rejects.toMatchObject(refusal);
  });

  it('refuses what is no CSR, and asks for proof of the key', async () => {
    const server = await startServer();
    const client = await server.remote(SVID, await downstreamOf(server, '/below'));
    const csr = await csrOf();
    const forged = Buffer.from(csr);
    forged[forged.length - 5] = (forged[forged.length - 5] ?? 0) ^ 1;
    for (const bad of [Buffer.of(), Buffer.from('junk'), forged, csr.subarray(0, 50)]) {
      await expect(callUnary(client, 'NewDownstreamX509CA', { csr: bad })).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
    await expect(callUnary(client, 'NewDownstreamX509CA', { csr, preferredTtl: -1 })).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });
});

describe.each([
  ['JWT', 'jwt'],
  ['WIT', 'wit'],
] as const)('Publish%sAuthority', (_name, kind) => {
  async function publish(
    server: InProcessServer,
    identity: Attested,
    key: object,
  ): Promise<readonly string[]> {
    const client = await server.remote(BUNDLE, identity);
    if (kind === 'jwt') {
      const { jwtAuthorities } = await callUnary(client, 'PublishJWTAuthority', { jwtAuthority: key });
      return jwtAuthorities.map(({ keyId }) => keyId);
    }
    const { witAuthorities } = await callUnary(client, 'PublishWITAuthority', { witAuthority: key });
    return witAuthorities.map(({ keyId }) => keyId);
  }

  it('puts the key into the bundle once, with its end, and answers all there are', async () => {
    const server = await startServer();
    const identity = await downstreamOf(server, '/below');
    const before = await keyIdsOf(server, kind);
    const key = tokenKey('child');
    expect(await publish(server, identity, key)).toEqual([...before, 'child']);
    const { sequenceNumber } = await callUnary(server.local(BUNDLE), 'GetBundle', {});
    expect(await publish(server, identity, key)).toEqual([...before, 'child']);
    const bundle = await callUnary(server.local(BUNDLE), 'GetBundle', {});
    expect(bundle.sequenceNumber).toBe(sequenceNumber);
    const list = kind === 'jwt' ? bundle.jwtAuthorities : bundle.witAuthorities;
    expect(list.find(({ keyId }) => keyId === 'child')).toMatchObject(key);
  });

  it('refuses a key that is none, has ended, or has the name of another', async () => {
    const server = await startServer();
    const identity = await downstreamOf(server, '/below');
    const [own = ''] = await keyIdsOf(server, kind);
    const [other = ''] = await keyIdsOf(server, kind === 'jwt' ? 'wit' : 'jwt');
    const cases: readonly (readonly [object, string])[] = [
      [{}, 'invalid_argument'],
      [{ ...tokenKey('x'), publicKey: Buffer.from('junk') }, 'invalid_argument'],
      [tokenKey(''), 'invalid_argument'],
      [tokenKey('x', -1), 'invalid_argument'],
      [tokenKey('x'.repeat(2000)), 'invalid_argument'],
      [tokenKey(own), 'already_exists'],
      [tokenKey(other), 'already_exists'],
    ];
    for (const [key, reason] of cases) {
      await expect(publish(server, identity, key)).rejects.toMatchObject({ reason });
    }
  });
});

describe('servers three deep', () => {
  it('share one root, and every level knows the token keys of all', async () => {
    const root = await startServer();
    const middle = await startBelow(root, '/middle');
    const leaf = await startBelow(middle, '/leaf');
    const [anchor = Buffer.of()] = await authoritiesOf(root);
    for (const server of [middle, leaf]) expect(await authoritiesOf(server)).toEqual([anchor]);

    const { certificateChain } = await leaf.mint('spiffe://example.org/web');
    expect(certificateChain).toHaveLength(3);
    const { svidChain } = await callUnary(leaf.local('spire.api.server.debug.v1.Debug'), 'GetInfo', {});
    expect(svidChain.map(({ id }) => id?.path)).toEqual(['/spire/server', '', '', '']);
    expect(new Set(svidChain.map(({ subject }) => subject)).size).toBe(4);
    const { spiffeId } = verifyX509Svid({
      chain: certificateChain,
      authorities: [anchor],
      now: new Date(),
      trustDomain,
    });
    expect(spiffeId).toBe('spiffe://example.org/web');

    for (const kind of ['jwt', 'wit'] as const) {
      const all = new Set(await keyIdsOf(root, kind));
      expect(all.size).toBe(3);
      for (const server of [middle, leaf]) {
        await waitFor(
          `the ${kind} keys of all`,
          async () =>
            (await keyIdsOf(server, kind)).every((id) => all.has(id)) &&
            (await keyIdsOf(server, kind)).length === 3,
        );
      }
    }
  });

  it('hear of a key that another branch published', async () => {
    const root = await startServer();
    const left = await startBelow(root, '/left');
    const right = await startBelow(root, '/right');
    const rightKeys = await keyIdsOf(right, 'jwt'); // its own, the root's and the left one's
    expect(rightKeys).toHaveLength(3);
    await waitFor('the key of the right branch on the left', async () => {
      const leftKeys = new Set(await keyIdsOf(left, 'jwt'));
      return rightKeys.every((keyId) => leftKeys.has(keyId));
    });
  });
});
