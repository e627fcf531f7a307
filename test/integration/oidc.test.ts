import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { oidcConfigSchema } from '@bonafide/oidc/configuration/oidc-config';
import { startProvider, type RunningProvider } from '@bonafide/oidc/wiring';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';
import { createWebCertificate } from './web-certificate.js';

const DOMAIN = 'oidc.example.org';
const AUDIENCE = 'relying-party';
const DISCOVERY = '/.well-known/openid-configuration';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const folder = createTemporaryDirectory();
let server: InProcessServer;
let root: string;

beforeAll(async () => {
  const pair = await createWebCertificate(DOMAIN);
  root = pair.root;
  writeFileSync(folder.join('tls.crt'), pair.cert);
  writeFileSync(folder.join('tls.key'), pair.key);
  server = await InProcessServer.start({ config: { server: { jwt_issuer: `https://${DOMAIN}` } } });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder.remove();
});

async function start(config: ConfigFile): Promise<RunningProvider> {
  const defaults: ConfigFile = {
    domains: [DOMAIN],
    server_api: { address: `unix://${server.socketPath}`, poll_interval: '100ms' },
    health_checks: { bind_port: 0 },
  };
  const text = JSON.stringify(mergeConfig(defaults, config));
  const parsed = parseConfig('oidc.json', text, oidcConfigSchema);
  return startProvider(parsed, { clock: systemClock, log: silentLogger });
}

function startSecure(config: ConfigFile = {}): Promise<RunningProvider> {
  const files = {
    cert_file_path: folder.join('tls.crt'),
    key_file_path: folder.join('tls.key'),
    addr: '127.0.0.1:0',
  };
  return start(mergeConfig({ serving_cert_file: files }, config));
}

/** Over real TLS, by name: the provider's certificate is verified against the root. */
function ask(
  { port = 0 }: RunningProvider,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, headers: { host: DOMAIN, ...headers } };
    const request = httpsRequest({ ...options, ca: root, servername: DOMAIN, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    request.end();
  });
}

function healthStatus({ healthPort = 0 }: RunningProvider, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port: healthPort, path, agent: false });
    request.on('error', reject).on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.end();
  });
}

async function keysAnswer(provider: RunningProvider): Promise<Answer> {
  return waitFor('the keys', async () => {
    const answer = await ask(provider, '/keys');
    return answer.status === 200 && answer;
  });
}

async function mintToken(audience = AUDIENCE): Promise<string> {
  const { svid } = await callUnary(server.local('spire.api.server.svid.v1.SVID'), 'MintJWTSVID', {
    id: { trustDomain: 'example.org', path: '/web' },
    audience: [audience],
    ttl: 60,
  });
  return svid?.token ?? '';
}

/** What a relying party does with a token that came as an ID token, by discovery alone. */
async function verifyByDiscovery(provider: RunningProvider, token: string): Promise<oauth.IDToken> {
  const fetchFromProvider = async (url: string, { method }: { method: string }): Promise<Response> => {
    const { host, pathname } = new URL(url);
    expect(host).toBe(DOMAIN);
    const { status, body, headers } = await ask(provider, pathname, { method });
    return new Response(body, { status, headers: { 'content-type': headers['content-type'] ?? '' } });
  };
  const options = { [oauth.customFetch]: fetchFromProvider };
  const issuer = new URL(`https://${DOMAIN}`);
  const discovered = await oauth.discoveryRequest(issuer, options);
  const authorizationServer = await oauth.processDiscoveryResponse(issuer, discovered);
  const client: oauth.Client = { client_id: AUDIENCE, id_token_signed_response_alg: 'ES256' };
  const response = Response.json({ access_token: 'unused', token_type: 'bearer', id_token: token });
  const result = await oauth.processGenericTokenEndpointResponse(authorizationServer, client, response);
  await oauth.validateApplicationLevelSignature(authorizationServer, response, options);
  const claims = oauth.getValidatedIdTokenClaims(result);
  if (claims === undefined) throw new Error('there is no ID token');
  return claims;
}

describe('bonafide-oidc', () => {
  it("lets a standard OIDC client verify a server's JWT-SVID by discovery over HTTPS", async () => {
    const provider = await startSecure();
    await keysAnswer(provider);
    const claims = await verifyByDiscovery(provider, await mintToken());
    expect(claims).toMatchObject({ iss: `https://${DOMAIN}`, sub: 'spiffe://example.org/web' });
    await provider.stop();
  });

  it('gives that client no reason to believe a token that was tampered with or meant for another', async () => {
    const provider = await startSecure();
    await keysAnswer(provider);
    const [header = '', payload = '', signature = ''] = (await mintToken()).split('.');
    const forged = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    await expect(verifyByDiscovery(provider, forged)).rejects.toThrow();
    await expect(verifyByDiscovery(provider, await mintToken('another'))).rejects.toThrow();
    await provider.stop();
  });

  it('says in the discovery document what SPIRE says', async () => {
    const provider = await startSecure();
    const { status, headers, body } = await ask(provider, DISCOVERY);
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(body)).toEqual({
      issuer: `https://${DOMAIN}`,
      jwks_uri: `https://${DOMAIN}/keys`,
      authorization_endpoint: '',
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256', 'ES256', 'ES384'],
    });
    await provider.stop();
  });

  it('stops at once, whoever holds a connection open without finishing a handshake', async () => {
    const provider = await startSecure();
    const socket = connect({ host: '127.0.0.1', port: provider.port ?? 0 });
    const closed = once(socket, 'close');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(Buffer.from([22, 3, 1]));
    await keysAnswer(provider);
    const began = performance.now();
    await provider.stop();
    await closed;
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  it('serves under a path prefix, and an issuer and a key URL of its own', async () => {
    const provider = await startSecure({ server_path_prefix: '/instance/1/' });
    expect(JSON.parse((await ask(provider, `/instance/1${DISCOVERY}`)).body)).toMatchObject({
      issuer: `https://${DOMAIN}/instance/1`,
      jwks_uri: `https://${DOMAIN}/instance/1/keys`,
    });
    expect((await ask(provider, DISCOVERY)).status).toBe(404);
    await provider.stop();
    const fronted = await startSecure({
      jwt_issuer: 'https://issuer.example/tenant',
      jwks_uri: 'https://cdn.example/jwks.json',
    });
    expect(JSON.parse((await ask(fronted, DISCOVERY)).body)).toMatchObject({
      issuer: 'https://issuer.example/tenant',
      jwks_uri: 'https://cdn.example/jwks.json',
    });
    await fronted.stop();
  });

  it('has key IDs, algorithms and, when told, uses', async () => {
    const provider = await startSecure({ set_key_use: true });
    const { keys } = JSON.parse((await keysAnswer(provider)).body) as { keys: Record<string, unknown>[] };
    const [header = ''] = (await mintToken()).split('.');
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string };
    expect(keys).toContainEqual(
      expect.objectContaining({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', kid }),
    );
    expect(keys.every((key) => !('d' in key))).toBe(true);
    await provider.stop();
  });

  it.each([
    'evil.example',
    `${DOMAIN}.evil.example`,
    'user@oidc.example.org',
    `${DOMAIN}:1:2`,
    '[::1]',
    '127.0.0.1',
  ])('refuses to be %s', async (host) => {
    const provider = await startSecure();
    expect((await ask(provider, DISCOVERY, { headers: { host } })).status).toBe(400);
    expect((await ask(provider, DISCOVERY, { headers: { 'x-forwarded-host': host } })).status).toBe(400);
    await provider.stop();
  });

  it('answers HEAD and conditional requests, and refuses to be written to', async () => {
    const provider = await startSecure();
    const { headers, body } = await keysAnswer(provider);
    expect(headers['cache-control']).toMatch(/^public, max-age=\d+, must-revalidate$/);
    expect(headers['x-content-type-options']).toBe('nosniff');
    const head = await ask(provider, '/keys', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: '' });
    expect(head.headers['content-length']).toBe(String(Buffer.byteLength(body)));
    const { etag = '', 'last-modified': changedAt = '' } = headers;
    for (const condition of [{ 'if-none-match': `"x", W/${etag}` }, { 'if-modified-since': changedAt }]) {
      expect(await ask(provider, '/keys', { headers: condition })).toMatchObject({ status: 304, body: '' });
    }
    const changed = { 'if-none-match': '"x"', 'if-modified-since': changedAt };
    expect((await ask(provider, '/keys', { headers: changed })).status).toBe(200);
    const post = await ask(provider, '/keys', { method: 'POST' });
    expect(post.status).toBe(405);
    expect(post.headers.allow).toBe('GET, HEAD');
    expect((await ask(provider, '/admin')).status).toBe(404);
    expect((await ask(provider, `/keys?${'x'.repeat(20_000)}`)).status).toBe(431);
    await provider.stop();
  });

  it('follows the keys of a bundle file, keeps the last good ones, and says so to caches', async () => {
    const path = folder.join('bundle.json');
    const provider = await startSecure({ server_api: undefined, file: { path, poll_interval: '50ms' } });
    expect((await ask(provider, '/keys')).status).toBe(503);
    expect(await healthStatus(provider, '/ready')).toBe(500);
    expect(await healthStatus(provider, '/live')).toBe(200);
    const jwk = { kty: 'EC', crv: 'P-256', ...POINT, use: 'jwt-svid', kid: 'one' };
    writeFileSync(path, JSON.stringify({ keys: [jwk], spiffe_refresh_hint: 7 }));
    const first = await keysAnswer(provider);
    expect(first.headers['cache-control']).toContain('max-age=7');
    expect(await healthStatus(provider, '/ready')).toBe(200);

    writeFileSync(path, '{"keys": [');
    await waitFor('caches to be told', async () => {
      const answer = await ask(provider, '/keys');
      return answer.headers['cache-control'] === 'no-cache' && answer.body === first.body;
    });
    writeFileSync(path, JSON.stringify({ keys: [{ ...jwk, kid: 'two' }] }));
    await waitFor('the new key', async () => {
      const answer = await ask(provider, '/keys');
      return answer.body.includes('two') && answer.headers.etag !== first.headers.etag;
    });
    writeFileSync(path, JSON.stringify({ keys: [] }));
    await waitFor('no keys', async () => (await ask(provider, '/keys')).status === 501);
    await provider.stop();
  });

  it("follows the agent's stream of JWT bundles, and serves on while the agent is away", async () => {
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/oidc', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    const provider = await startSecure({
      server_api: undefined,
      workload_api: { socket_path: agent.socketPath, trust_domain: 'example.org', poll_interval: '200ms' },
    });
    await keysAnswer(provider);
    await verifyByDiscovery(provider, await mintToken());
    await agent.stop();
    await waitFor(
      'the loss to be noticed',
      async () => (await ask(provider, '/keys')).headers['cache-control'] === 'no-cache',
    );
    expect(await healthStatus(provider, '/ready')).toBe(200);
    await provider.stop();
  });
});

const POINT = {
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
};
