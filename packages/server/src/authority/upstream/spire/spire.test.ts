import {
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import {
  createCertificateSigningRequest,
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createIntermediateAuthority } from '@bonafide/shared/crypto/intermediate-authority';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8, exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { addSeconds, systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UpstreamAuthority, UpstreamContent, X509AuthorityRequest } from '../upstream-authority.js';
import { spire } from './spire.js';

type Answer = (request: never) => object | Promise<object>;

const trustDomain = parseTrustDomain('example.org');
const never = new AbortController().signal;
const SVID = 'spire.api.server.svid.v1.SVID';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';

let authority: TestAuthority;
let directory: TemporaryDirectory;
let api: TestWorkloadApi;
let parent: Server | undefined;
let answers: Record<string, Answer>;
let calls: string[];

beforeEach(async () => {
  authority = await TestAuthority.create('example.org');
  directory = createTemporaryDirectory();
  api = await TestWorkloadApi.start(directory.join('agent.sock'));
  api.serve({ svids: [await authority.issueX509Svid('/nested')], bundles: [authority.bundle()] });
  calls = [];
  answers = {
    NewDownstreamX509CA: async ({ csr }: { readonly csr: Buffer }) => ({ caCertChain: [await sign(csr)] }),
    GetBundle: () => bundle(),
  };
});
afterEach(async () => {
  parent?.forceShutdown();
  await api.stop();
  directory.remove();
});

async function sign(csr: Buffer): Promise<Buffer> {
  const issuer = parseX509Certificate(authority.certificate);
  return createIntermediateAuthority({
    trustDomain,
    csr: await verifyCertificateSigningRequest(parseCertificateSigningRequest(csr)),
    issuer,
    signer: createKeySigner(authority.privateKey),
    notBefore: issuer.notBefore,
    notAfter: addSeconds(systemClock.now(), 3600),
  });
}

function bundle(): { trustDomain: string; x509Authorities: object[]; jwtAuthorities?: object[] } {
  return { trustDomain: 'example.org', x509Authorities: [{ asn1: authority.certificate, tainted: false }] };
}

/** What has no answer is unimplemented. @returns its port. */
async function startParent(identity?: X509Svid, port = 0): Promise<number> {
  const { certificateChain, privateKey } = identity ?? (await authority.issueX509Svid('/spire/server'));
  const server = new Server();
  for (const name of [SVID, BUNDLE] as const) {
    const implementation: UntypedServiceImplementation = {};
    for (const method of Object.keys(loadService(name).definition)) {
      if (answers[method] === undefined) continue;
      implementation[method] = (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>) => {
        calls.push(method);
        Promise.resolve(answers[method]?.(call.request as never)).then(
          (value) => {
            callback(null, value);
          },
          callback as (error: unknown) => void,
        );
      };
    }
    server.addService(loadService(name).definition, implementation);
  }
  const pair = {
    cert_chain: Buffer.from(certificateChain.map((der) => encodePem('CERTIFICATE', der)).join('')),
    private_key: Buffer.from(encodePem('PRIVATE KEY', exportPkcs8(privateKey))),
  };
  const roots = Buffer.from(encodePem('CERTIFICATE', authority.certificate));
  parent = server;
  return new Promise((resolve, reject) => {
    const tls = ServerCredentials.createSsl(roots, [pair], true);
    server.bindAsync(`127.0.0.1:${port}`, tls, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

function openUpstream(port: number): Promise<UpstreamAuthority> {
  const config = {
    server_address: '127.0.0.1',
    server_port: port,
    workload_api_socket: api.socketPath,
  };
  return spire.create(config, { trustDomain, clock: systemClock, log: silentLogger, environment: {} });
}

async function request(): Promise<X509AuthorityRequest> {
  const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'), {
    uriNames: ['spiffe://example.org'],
  });
  return { csr, preferredTtlSeconds: 3600 };
}

function tokenKey(): TokenAuthority {
  const publicKey = exportSpki(makeKeyPair('ec', { namedCurve: 'P-256' }).publicKey);
  return { publicKey, keyId: 'ours', expiresAt: undefined, isTainted: false };
}

describe('a parent server', () => {
  it('signs, dies and comes back', async () => {
    const port = await startParent();
    const upstream = await openUpstream(port);
    const { upstreamRoots } = await upstream.mintX509Authority(await request(), never);
    expect(upstreamRoots).toEqual([{ certificate: authority.certificate, isTainted: false }]);
    parent?.forceShutdown();
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining(`upstream server 127.0.0.1:${port}`) as string,
    });
    await startParent(undefined, port);
    expect((await upstream.mintX509Authority(await request(), never)).certificateChain).toHaveLength(1);
  });

  it.each([
    ['is a workload', () => authority.issueX509Svid('/web')],
    ['is an agent', () => authority.issueX509Svid('/spire/agent/join_token/x')],
    [
      'is of another authority',
      async () => (await TestAuthority.create('example.org')).issueX509Svid('/spire/server'),
    ],
  ])('is asked nothing when it %s', async (_name, identity) => {
    const upstream = await openUpstream(await startParent(await identity()));
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'unavailable',
    });
    expect(calls).toEqual([]);
  });

  it('that stalls is given up when the server stops', async () => {
    answers['NewDownstreamX509CA'] = () => new Promise(() => undefined);
    const upstream = await openUpstream(await startParent());
    const stop = new AbortController();
    const minting = upstream.mintX509Authority(await request(), stop.signal);
    setTimeout(() => {
      stop.abort();
    }, 100);
    await expect(minting).rejects.toMatchObject({ reason: 'cancelled' });
  });

  it.each([
    ['no certificate', 'NewDownstreamX509CA', () => ({ caCertChain: [] })],
    [
      'too many certificates',
      'NewDownstreamX509CA',
      () => ({ caCertChain: Array.from({ length: 11 }, () => authority.certificate) }),
    ],
    ['a certificate of others', 'NewDownstreamX509CA', () => ({ caCertChain: [authority.certificate] })],
    ['a bundle without roots', 'GetBundle', () => ({ ...bundle(), x509Authorities: [] })],
    ['the bundle of others', 'GetBundle', () => ({ ...bundle(), trustDomain: 'other.org' })],
    [
      'a root that is none',
      'GetBundle',
      () => ({ ...bundle(), x509Authorities: [...bundle().x509Authorities, { asn1: Buffer.of(48, 0) }] }),
    ],
    [
      'a key that is none',
      'GetBundle',
      () => ({ ...bundle(), jwtAuthorities: [{ publicKey: Buffer.of(1), keyId: 'x' }] }),
    ],
  ])('is not believed when it answers %s', async (_name, method, answer) => {
    answers[method] = answer;
    const upstream = await openUpstream(await startParent());
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
  });

  it('that refuses is asked once more under a fresh identity, and no more', async () => {
    answers['NewDownstreamX509CA'] = () =>
      Promise.reject(Object.assign(new Error(), { code: status.PERMISSION_DENIED, details: 'no entry' }));
    const upstream = await openUpstream(await startParent());
    await expect(upstream.mintX509Authority(await request(), never)).rejects.toMatchObject({
      reason: 'permission_denied',
      message: expect.stringContaining('no entry') as string,
    });
    expect(calls.length).toBeLessThanOrEqual(2);
  });
});

describe('keys that sign tokens', () => {
  it('come back with those of others, unless they are malformed', async () => {
    const others = [{ publicKey: tokenKey().publicKey, keyId: 'other' }];
    answers['PublishJWTAuthority'] = ({ jwtAuthority }: { readonly jwtAuthority: object }) => ({
      jwtAuthorities: [...others, jwtAuthority],
    });
    const upstream = await openUpstream(await startParent());
    const published = await upstream.publishJwtAuthority?.(tokenKey(), never);
    expect(published?.map(({ keyId }) => keyId)).toEqual(['other', 'ours']);
    others.push({ publicKey: Buffer.of(1), keyId: 'junk' });
    await expect(upstream.publishJwtAuthority?.(tokenKey(), never)).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
  });

  it('stay ours alone where the parent takes none of the kind: WIT, but not JWT', async () => {
    const upstream = await openUpstream(await startParent());
    const key = tokenKey();
    expect(await upstream.publishWitAuthority?.(key, never)).toEqual([key]);
    await expect(upstream.publishJwtAuthority?.(key, never)).rejects.toMatchObject({
      reason: 'unimplemented',
    });
    // That it has none does not mean that ours were taken back.
    const stop = new AbortController();
    const content = await new Promise<UpstreamContent>((resolve) => {
      void upstream.follow((told) => {
        resolve(told);
        return Promise.resolve();
      }, stop.signal);
    });
    stop.abort();
    expect(content.witAuthorities).toBeUndefined();
    expect(content.jwtAuthorities).toEqual([]);
  });
});
