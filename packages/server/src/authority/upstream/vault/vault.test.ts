import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { TLSSocket } from 'node:tls';
import {
  createCertificateSigningRequest,
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createIntermediateAuthority } from '@bonafide/shared/crypto/intermediate-authority';
import { decodePem, encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { verifyX509Authority } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { createTestCertificate } from '@bonafide/testing/test-certificate';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { UpstreamAuthority, X509AuthorityRequest } from '../upstream-authority.js';
import { createVaultAuthority } from './vault.js';
import { vaultConfigSchema } from './vault-config.js';

const trustDomain = parseTrustDomain('example.org');
const never = new AbortController().signal;
const SECRETS = { token: 'hvs.first', secretId: 'the-secret-id', jwt: 'eyJ.service.account' };

type Body = Readonly<Record<string, string | boolean>>;
type Answer = readonly [status: number, body: object];

/** Vault's API as far as we use it: logins, tokens that end, and a PKI engine that signs. */
class SmallVault {
  readonly calls: { readonly path: string; readonly token: string | undefined; readonly body: Body }[] = [];
  readonly authority: TestAuthority;
  /** Takes the answer over. */
  special: ((path: string, response: ServerResponse) => boolean) | undefined;
  /** Laid over what a signing answers. */
  signed: object = {};
  leaseSeconds = 0;
  isRenewable = true;
  readonly tokens = new Set([SECRETS.token]);
  #server: Server | undefined;
  #logins = 0;

  constructor(authority: TestAuthority) {
    this.authority = authority;
  }

  async listen(tls: {
    readonly cert: string;
    readonly key: string;
    readonly clientCa: string;
  }): Promise<string> {
    const { cert, key, clientCa: ca } = tls;
    const options = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
    const server = createServer(options, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const path = request.url ?? '';
    const token = request.headers['x-vault-token']?.toString();
    const body = text === '' ? {} : (JSON.parse(text) as Body);
    this.calls.push({ path, token, body });
    if (this.special?.(path, response) === true) return;
    const hasCertificate = request.socket instanceof TLSSocket && request.socket.authorized;
    const [status, answer] = await this.#answer(path, token, body, hasCertificate);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  async #answer(
    path: string,
    token: string | undefined,
    body: Body,
    hasCertificate: boolean,
  ): Promise<Answer> {
    const denied: Answer = [403, { errors: ['permission denied'] }];
    const lease = { lease_duration: this.leaseSeconds, renewable: this.isRenewable };
    const logIn = (isGood: boolean): Answer => {
      if (!isGood) return [400, { errors: ['invalid login'] }];
      this.#logins += 1;
      const fresh = `hvs.login-${this.#logins}`;
      this.tokens.add(fresh);
      return [200, { auth: { client_token: fresh, ...lease } }];
    };
    if (path === '/v1/auth/my-approle/login')
      return logIn(body['role_id'] === 'the-role' && body['secret_id'] === SECRETS.secretId);
    if (path === '/v1/auth/kubernetes/login')
      return logIn(body['jwt'] === SECRETS.jwt && body['role'] === 'spire');
    if (path === '/v1/auth/cert/login') return logIn(hasCertificate && body['name'] === 'web');
    if (token === undefined || !this.tokens.has(token)) return denied;
    if (path === '/v1/auth/token/lookup-self')
      return [200, { data: { ttl: this.leaseSeconds, renewable: this.isRenewable } }];
    if (path === '/v1/auth/token/renew-self')
      return this.isRenewable
        ? [200, { auth: { client_token: token, ...lease } }]
        : [400, { errors: ['lease is not renewable'] }];
    if (path === '/v1/team/pki/root/sign-intermediate')
      return [200, { data: { ...(await this.#sign(body)), ...this.signed } }];
    return [404, { errors: [] }];
  }

  async #sign(body: Body): Promise<object> {
    const [der] = decodePem('CERTIFICATE REQUEST', String(body['csr']));
    if (der === undefined) throw new Error('no CSR');
    const now = new Date(Math.floor(Date.now() / 1000) * 1000);
    const certificate = await createIntermediateAuthority({
      trustDomain: parseTrustDomain(String(body['uri_sans']).replace('spiffe://', '')),
      csr: await verifyCertificateSigningRequest(parseCertificateSigningRequest(der)),
      issuer: parseX509Certificate(this.authority.certificate),
      signer: createKeySigner(this.authority.privateKey),
      notBefore: new Date(now.getTime() - 30_000),
      notAfter: new Date(now.getTime() + Number.parseInt(String(body['ttl'])) * 1000),
    });
    const issuer = encodePem('CERTIFICATE', this.authority.certificate);
    const pem = encodePem('CERTIFICATE', certificate);
    return { certificate: pem, issuing_ca: issuer, ca_chain: [pem, issuer] };
  }
}

let directory: TemporaryDirectory;
let root: TestAuthority;
let web: TestAuthority;
let vault: SmallVault;
let address: string;
let clock: FakeClock;
const lines: string[] = [];
const record = (...values: readonly unknown[]): number =>
  lines.push(
    JSON.stringify(values, (_key, value: unknown) =>
      value instanceof Error ? `${value.message} ${String(value.stack)} ${String(value.cause)}` : value,
    ),
  );
const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
  warn: record,
  error: record,
  info: record,
});

beforeEach(async () => {
  directory = createTemporaryDirectory();
  root = await TestAuthority.create('example.org');
  web = await TestAuthority.create('vault.example');
  vault = new SmallVault(root);
  const key = await generatePrivateKey('ec-p256');
  const now = Date.now();
  const cert = createTestCertificate({
    publicKey: key,
    subjectName: '127.0.0.1',
    issuerName: 'vault.example test authority',
    issuerPublicKey: web.privateKey,
    signingKey: web.privateKey,
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 3_600_000),
    uriNames: [],
    dnsNames: ['localhost'],
    keyUsages: ['digitalSignature'],
    isCa: false,
    pathLength: undefined,
    extendedKeyUsages: ['serverAuth'],
  });
  const ca = encodePem('CERTIFICATE', web.certificate);
  writeFileSync(directory.join('ca.pem'), ca);
  const url = await vault.listen({
    cert: encodePem('CERTIFICATE', cert),
    key: encodePem('PRIVATE KEY', exportPkcs8(key)),
    clientCa: ca,
  });
  address = url.replace('127.0.0.1', 'localhost');
  clock = new FakeClock(new Date());
  lines.length = 0;
});

afterEach(() => {
  vault.close();
  directory.remove();
  for (const secret of [...vault.tokens, ...Object.values(SECRETS)])
    expect(lines.join('\n')).not.toContain(secret);
});

function open(change: object, { environment = {}, limitMs = 5_000 } = {}): UpstreamAuthority {
  const config = vaultConfigSchema.parse({
    vault_addr: address,
    pki_mount_point: 'team/pki',
    ca_cert_path: directory.join('ca.pem'),
    ...change,
  });
  return createVaultAuthority(config, { trustDomain, clock, log, environment }, limitMs);
}

async function request(): Promise<X509AuthorityRequest> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  return {
    csr: await createCertificateSigningRequest(signer, { uriNames: ['spiffe://example.org'] }),
    preferredTtlSeconds: 600,
  };
}

const token_auth = { token: SECRETS.token };

describe('the vault upstream authority', () => {
  it('has a CA certificate signed, which leads to the root of the engine', async () => {
    const { certificateChain, upstreamRoots } = await open({ token_auth }).mintX509Authority(
      await request(),
      never,
    );
    expect(certificateChain).toHaveLength(1);
    const authorities = upstreamRoots.map(({ certificate }) => certificate);
    expect(authorities).toEqual([root.certificate]);
    const authority = verifyX509Authority({
      chain: certificateChain,
      authorities,
      now: new Date(),
      trustDomain,
    });
    expect(authority.spiffeId).toBe('spiffe://example.org');
    expect(vault.calls.at(-1)).toMatchObject({
      path: '/v1/team/pki/root/sign-intermediate',
      token: SECRETS.token,
      body: { ttl: '600s', uri_sans: 'spiffe://example.org' },
    });
  });

  it('sends the intermediates of an engine that is not the root itself', async () => {
    vault.close();
    const middle = await root.createIntermediate();
    const other = new SmallVault(middle);
    vault = other;
    const key = await web.issueX509Svid('/vault', { dnsNames: ['localhost'] });
    const url = await other.listen({
      cert: encodePem('CERTIFICATE', key.certificateChain[0] ?? Buffer.of()),
      key: encodePem('PRIVATE KEY', exportPkcs8(key.privateKey)),
      clientCa: encodePem('CERTIFICATE', web.certificate),
    });
    address = url.replace('127.0.0.1', 'localhost');
    other.signed = {
      ca_chain: [middle.certificate, root.certificate].map((der) => encodePem('CERTIFICATE', der)),
    };
    const minted = await open({ token_auth }).mintX509Authority(await request(), never);
    expect(minted.certificateChain.slice(1)).toEqual([middle.certificate]);
    expect(minted.upstreamRoots).toEqual([{ certificate: root.certificate, isTainted: false }]);
  });

  it.each([
    [
      'AppRole',
      {
        approle_auth: {
          approle_auth_mount_point: 'my-approle',
          approle_id: 'the-role',
          approle_secret_id: SECRETS.secretId,
        },
      },
    ],
    ['Kubernetes', { k8s_auth: { k8s_auth_role_name: 'spire', token_path: '@jwt' } }],
    [
      'a client certificate',
      { cert_auth: { cert_auth_role_name: 'web', client_cert_path: '@cert', client_key_path: '@key' } },
    ],
  ])('logs in by %s, once', async (_name, auth) => {
    const client = await web.issueX509Svid('/client');
    writeFileSync(directory.join('jwt'), `${SECRETS.jwt}\n`);
    writeFileSync(
      directory.join('cert'),
      encodePem('CERTIFICATE', client.certificateChain[0] ?? Buffer.of()),
    );
    writeFileSync(directory.join('key'), encodePem('PRIVATE KEY', exportPkcs8(client.privateKey)));
    const inFolder = JSON.parse(
      JSON.stringify(auth).replace(/@(\w+)/g, (_, name: string) => directory.join(name)),
    ) as object;
    const upstream = open(inFolder);
    await upstream.mintX509Authority(await request(), never);
    await upstream.mintX509Authority(await request(), never);
    expect(vault.calls.filter(({ path }) => path.endsWith('/login'))).toHaveLength(1);
    expect(vault.calls.at(-1)?.token).toBe('hvs.login-1');
  });

  it('takes from the environment what the configuration leaves out, and says what is missing in both', () => {
    const environment = {
      VAULT_ADDR: address,
      VAULT_TOKEN: SECRETS.token,
      VAULT_CACERT: directory.join('ca.pem'),
    };
    expect(open({ vault_addr: undefined, token_auth: {} }, { environment }).name).toBe('vault');
    expect(() => open({ token_auth: {} })).toThrow('needs token, or the environment variable VAULT_TOKEN');
    expect(() => open({ token_auth, vault_addr: undefined })).toThrow('VAULT_ADDR');
    expect(() => open({ token_auth, vault_addr: 'ftp://vault' })).toThrow('https://');
    expect(() => open({ token_auth, vault_addr: 'https://user:password@vault' })).toThrow('without user');
    expect(() => open({})).toThrow('one way to authenticate');
    expect(() => open({ token_auth, approle_auth: {} })).toThrow('one way to authenticate');
    expect(() => open({ token_auth, pki_mount_point: 'a/../b?' })).toThrow('no mount point');
  });

  it('renews its token when a third of its lease is left, and logs in again when that is refused', async () => {
    vault.leaseSeconds = 90;
    const upstream = open({
      approle_auth: {
        approle_auth_mount_point: 'my-approle',
        approle_id: 'the-role',
        approle_secret_id: SECRETS.secretId,
      },
    });
    const stop = new AbortController();
    await upstream.mintX509Authority(await request(), never);
    const following = upstream.follow(() => Promise.resolve(), stop.signal);
    const count = (end: string): number => vault.calls.filter(({ path }) => path.endsWith(end)).length;
    const passes = async (seconds: number, end: string, times: number): Promise<void> => {
      await clock.advance(seconds * 1000);
      await vi.waitFor(
        async () => {
          await clock.advance(1);
          expect(count(end)).toBe(times);
        },
        { timeout: 30_000 },
      );
    };
    await new Promise(setImmediate);
    await clock.advance(50_000);
    expect(count('renew-self')).toBe(0);
    await passes(11, 'renew-self', 1);
    vault.isRenewable = false;
    await passes(61, '/login', 2);
    stop.abort();
    await following;
    await upstream.mintX509Authority(await request(), never);
    expect(vault.calls.at(-1)?.token).toBe('hvs.login-2');
  });

  it('logs in again when Vault no longer knows the token, but not for ever', async () => {
    const upstream = open({
      approle_auth: {
        approle_auth_mount_point: 'my-approle',
        approle_id: 'the-role',
        approle_secret_id: SECRETS.secretId,
      },
    });
    await upstream.mintX509Authority(await request(), never);
    vault.tokens.clear();
    await upstream.mintX509Authority(await request(), never);
    expect(vault.calls.at(-1)?.token).toBe('hvs.login-2');

    const byToken = open({ token_auth: { token: 'hvs.revoked' } });
    const before = vault.calls.length;
    await expect(byToken.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'permission_denied',
      message: 'Vault refused auth/token/lookup-self (403): permission denied',
    });
    expect(vault.calls.length - before).toBe(1);
  });

  it.each([
    [
      'a redirect',
      307,
      { location: 'https://elsewhere.example/v1' },
      '',
      'failed_precondition',
      'redirect (307)',
    ],
    ['that it is sealed', 503, {}, '{"errors":["Vault is sealed"]}', 'unavailable', 'Vault is sealed'],
    ['that it is overloaded', 429, {}, '{}', 'unavailable', '(429): no reason given'],
    ['a bad request', 400, {}, '{"errors":["no such role"]}', 'failed_precondition', 'no such role'],
    ['no JSON', 200, {}, '<html>', 'failed_precondition', 'something else than JSON'],
    ['too much', 200, {}, 'x'.repeat(2_000_000), 'unavailable', 'longer than'],
    ['no certificate', 200, {}, '{"data":{}}', 'failed_precondition', 'certificate is not text'],
    [
      'junk for a certificate',
      200,
      {},
      '{"data":{"certificate":"junk"}}',
      'failed_precondition',
      'no PEM block',
    ],
  ])('says what is wrong when Vault answers %s', async (_name, status, headers, text, reason, problem) => {
    const upstream = open({ token_auth });
    vault.special = (path, response) => {
      if (!path.endsWith('sign-intermediate')) return false;
      response.writeHead(status, headers).end(text);
      return true;
    };
    const failure: unknown = await upstream
      .mintX509Authority(await request(), never)
      .catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ reason });
    expect(String(failure)).toContain(problem);
  });

  it('refuses what was signed for another key, and what does not lead to the root', async () => {
    const upstream = open({ token_auth });
    const other = encodePem('CERTIFICATE', (await root.createIntermediate()).certificate);
    vault.signed = { certificate: other };
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toThrow('another key');
    const stranger = await TestAuthority.create('example.org');
    const strange = encodePem('CERTIFICATE', stranger.certificate);
    vault.signed = { issuing_ca: strange, ca_chain: [strange] };
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
  });

  it('gives up on a Vault that stalls, hangs up, or is another one', async () => {
    const upstream = open({ token_auth }, { limitMs: 300 });
    vault.special = (path) => path.endsWith('sign-intermediate');
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toThrow(
      'no answer within 300 ms',
    );
    vault.special = (path, response) => {
      if (path.endsWith('sign-intermediate')) response.write('{');
      return path.endsWith('sign-intermediate');
    };
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toThrow(
      'no answer within 300 ms',
    );
    const stop = new AbortController();
    const stopped = upstream.mintX509Authority(await request(), stop.signal);
    setTimeout(() => {
      stop.abort();
    }, 50);
    await expect(stopped).rejects.toMatchObject({ reason: 'cancelled' });
    vault.special = (_path, response) => response.destroy() instanceof Object;
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'unavailable',
    });
    writeFileSync(directory.join('ca.pem'), encodePem('CERTIFICATE', root.certificate));
    vault.special = undefined;
    const before = vault.calls.length;
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'unavailable',
    });
    expect(vault.calls.length).toBe(before);
  });
});
