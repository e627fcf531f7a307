import { connect, type TLSSocket } from 'node:tls';
import { request } from 'node:https';
import { once } from 'node:events';
import { refreshIntervalMs } from '@bonafide/shared/bundle-endpoint/refresh-schedule';
import { judgeBundle } from '@bonafide/shared/bundle-endpoint/accept-bundle';
import { fetchBundle, FETCH_LIMITS } from '@bonafide/shared/bundle-endpoint/fetch-bundle';
import type { EndpointTrust } from '@bonafide/shared/bundle-endpoint/connect-to-endpoint';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import {
  parseBundleEndpointUrl,
  type BundleEndpointProfile,
} from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto, bundleToProto } from '@bonafide/shared/rpc/codec/bundle';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { ScriptedEndpoint, serveText } from '@bonafide/testing/scripted-endpoint';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer } from '../integration/server-in-process.js';

const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const TRUST_DOMAIN = 'spire.api.server.trustdomain.v1.TrustDomain';
const OWN = parseTrustDomain('example.org');
const OTHER = parseTrustDomain('other.test');
const SERVER_ID = parseSpiffeId('spiffe://example.org/spire/server');
const OTHER_ID = parseSpiffeId('spiffe://other.test/spire/server');

let server: InProcessServer;
let url: string;

beforeAll(async () => {
  const endpoint = { address: '127.0.0.1', port: 0, refresh_hint: '7m', profile: { https_spiffe: {} } };
  server = await InProcessServer.start({ config: { server: { federation: { bundle_endpoint: endpoint } } } });
  url = `https://localhost:${server.bundleEndpointPort}/`;
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ownBundle = async (): Promise<TrustBundle> =>
  bundleFromProto(await callUnary(server.local(BUNDLE), 'GetBundle', {}));

async function handshake(options: object = {}): Promise<TLSSocket> {
  const port = server.bundleEndpointPort;
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

async function get(
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly type: string | undefined; readonly body: Buffer }> {
  const sent = request(url, { headers, rejectUnauthorized: false, agent: false }).end();
  const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer> & { headers: object }];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const { 'content-type': type } = response.headers as Record<string, string>;
  return { type, body: Buffer.concat(chunks) };
}

/** What the client that refreshes relationships asks, once. */
function fetchOnce(from: string, trust: EndpointTrust, trustDomain = OWN): Promise<TrustBundle> {
  const profile: BundleEndpointProfile =
    trust.kind === 'https_web' ? { kind: 'https_web' } : { kind: trust.kind, endpointId: trust.endpointId };
  return fetchBundle({
    relationship: { trustDomain, endpoint: { url: parseBundleEndpointUrl(from), profile } },
    trust,
    limits: FETCH_LIMITS,
    clock: systemClock,
    signal: new AbortController().signal,
  });
}

const bySpiffe = (bundle: TrustBundle, endpointId = SERVER_ID): EndpointTrust => ({
  kind: 'https_spiffe',
  endpointId,
  bundle,
  now: new Date(),
});
const byWeb = ({ certificate }: TestAuthority): EndpointTrust => ({
  kind: 'https_web',
  authorities: [encodePem('CERTIFICATE', certificate)],
});

/** Our bundle endpoint, held against SPIFFE_Federation.md. */
describe('SPIFFE Federation: serving', () => {
  it('section 4: an HTTPS GET of the endpoint answers with our bundle', async () => {
    const served = await fetchOnce(url, bySpiffe(await ownBundle()));
    expect(formatBundleDocument(served)).toBe(
      formatBundleDocument({ ...(await ownBundle()), refreshHintSeconds: 420 }),
    );
  });

  it('section 4.1: keys are at the endpoint before they sign', async () => {
    const client = server.local('spire.api.server.localauthority.v1.LocalAuthority');
    const before = (await callUnary(client, 'GetJWTAuthorityState', {})).active?.authorityId;
    const { preparedAuthority } = await callUnary(client, 'PrepareJWTAuthority', {});
    const { jwtAuthorities } = parseBundleDocument(OWN, (await get()).body.toString());
    expect(jwtAuthorities.map(({ keyId }) => keyId)).toContain(preparedAuthority?.authorityId);
    expect((await callUnary(client, 'GetJWTAuthorityState', {})).active?.authorityId).toBe(before);
  });

  it('section 5: TLS follows the intermediate profile: 1.2 and 1.3, forward secrecy, authenticated encryption', async () => {
    const older = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
    const weak = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256' };
    for (const refused of [older, weak]) await expect(handshake(refused)).rejects.toThrow();
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const socket = await handshake({ minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
  });

  it('section 5.2.1.3: nobody is asked to authenticate, by certificate or header', async () => {
    for (const headers of [{}, { authorization: 'Bearer nonsense', cookie: 'a=b' }]) {
      expect(parseBundleDocument(OWN, (await get(headers)).body.toString()).trustDomain).toBe(OWN);
    }
  });

  it('section 5.2.1.3: the answer is the newest bundle, in UTF-8, as application/json', async () => {
    const { certificate } = await TestAuthority.create('example.org');
    const sister = { x509Authorities: [{ asn1: certificate }] };
    await callUnary(server.local(BUNDLE), 'AppendBundle', sister);
    const { type, body } = await get();
    expect(type).toBe('application/json');
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    const { x509Authorities, sequenceNumber } = parseBundleDocument(OWN, text);
    expect(x509Authorities.map((authority) => authority.certificate)).toContainEqual(certificate);
    expect(sequenceNumber).toBe((await ownBundle()).sequenceNumber);
  });

  it('section 5.2.2.3: by https_spiffe the certificate is a valid X509-SVID', async () => {
    const socket = await handshake();
    const chain = [socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0)];
    socket.destroy();
    const authorities = (await ownBundle()).x509Authorities.map(({ certificate }) => certificate);
    expect(verifyX509Svid({ chain, authorities, now: new Date() }).spiffeId).toBe(SERVER_ID);
  });
});

/** What we believe of others. */
describe('SPIFFE Federation: consuming', () => {
  let other: TestAuthority;

  beforeAll(async () => {
    other = await TestAuthority.create('other.test');
  });

  const documentOf = (changes: Partial<TrustBundle> = {}): string =>
    formatBundleDocument({ ...other.bundle(), sequenceNumber: 1, ...changes });

  it('section 4.1: a bundle is asked for again after its refresh hint, and after five minutes without one', () => {
    expect(refreshIntervalMs(90)).toBe(90_000);
    expect(refreshIntervalMs(undefined)).toBe(300_000);
  });

  it('section 4.2: the sequence number tells which of two bundles is newer; without it the last one fetched is', () => {
    const held = { ...other.bundle(), sequenceNumber: 5 };
    expect(() => judgeBundle(held, { ...held, sequenceNumber: 4 })).toThrow('went back from 5 to 4');
    for (const sequenceNumber of [6, 0]) {
      expect(judgeBundle(held, { ...held, sequenceNumber }).kind).toBe('replaces');
    }
  });

  it('section 4.2: bundles of two trust domains are never merged', async () => {
    const svid = await other.issueX509Svid('/spire/server');
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(documentOf()));
    const before = await ownBundle();
    await federate(endpoint.url, other.bundle());
    expect(await foreignBundle()).toMatchObject({
      trustDomain: OTHER,
      x509Authorities: [{ certificate: other.certificate }],
    });
    expect(await ownBundle()).toEqual(before);
  });

  it('section 5.1: URL, profile and trust domain are told, and nothing is guessed', async () => {
    for (const missing of [
      { trustDomain: 'third.test', bundleEndpointUrl: 'https://third.test/' },
      { trustDomain: 'third.test', httpsWeb: {} },
      { bundleEndpointUrl: 'https://third.test/', httpsWeb: {} },
    ]) {
      const { results } = await callUnary(server.local(TRUST_DOMAIN), 'BatchCreateFederationRelationship', {
        federationRelationships: [missing],
      });
      expect(results[0]?.status?.code).toBe(3);
    }
  });

  it('section 5.2.1.1: the URL is https, without user info', () => {
    expect(parseBundleEndpointUrl('https://other.test/bundle?x=1')).toBeDefined();
    for (const wrong of ['http://other.test/', 'https://user@other.test/', 'https:///bundle', 'other.test']) {
      expect(() => parseBundleEndpointUrl(wrong)).toThrow();
    }
  });

  it('section 5.2.1.4: by https_web the certificate is of a trusted authority and for the host of the URL', async () => {
    const issue = (name: string): ReturnType<TestAuthority['issueX509Svid']> =>
      other.issueX509Svid('/web', { certificate: { uriNames: [], dnsNames: [name] } });
    await using endpoint = await ScriptedEndpoint.overTls(await issue('localhost'), serveText(documentOf()));
    await using wrong = await ScriptedEndpoint.overTls(await issue('wrong.test'), serveText(documentOf()));
    expect((await fetchOnce(endpoint.url, byWeb(other), OTHER)).trustDomain).toBe(OTHER);
    await expect(fetchOnce(wrong.url, byWeb(other), OTHER)).rejects.toThrow('by web PKI');
    const stranger = await TestAuthority.create('other.test');
    await expect(fetchOnce(endpoint.url, byWeb(stranger), OTHER)).rejects.toThrow('by web PKI');
    expect([endpoint.requests.length, wrong.requests.length]).toEqual([1, 0]);
  });

  it('section 5.2.2.2: the first bundle of a self-serving endpoint is given in the SPIFFE format', () => {
    expect(parseBundleDocument(OTHER, documentOf())).toMatchObject({
      x509Authorities: [{ certificate: other.certificate }],
    });
  });

  it('section 5.2.2.4: by https_spiffe the certificate is a valid X509-SVID of the ID that was told', async () => {
    const bundle = await ownBundle();
    const agent = parseSpiffeId('spiffe://example.org/spire/agent');
    await expect(fetchOnce(url, bySpiffe(bundle, agent))).rejects.toThrow(`it is ${SERVER_ID}`);
    const stranger = (await TestAuthority.create('example.org')).bundle();
    await expect(fetchOnce(url, bySpiffe(stranger))).rejects.toMatchObject({ reason: 'unauthenticated' });
    expect((await fetchOnce(url, bySpiffe(bundle))).trustDomain).toBe(OWN);
  });

  it('section 5.2.2.4: later connections are verified by the bundle that was fetched last', async () => {
    const next = await TestAuthority.create('other.test');
    const both = serveText(documentOf({ ...other.bundle(next), sequenceNumber: 2 }));
    const only = serveText(formatBundleDocument({ ...next.bundle(), sequenceNumber: 3 }));
    await using old = await ScriptedEndpoint.overTls(await other.issueX509Svid('/spire/server'), both);
    await using moved = await ScriptedEndpoint.overTls(await next.issueX509Svid('/spire/server'), only);
    await federate(old.url, other.bundle());
    await waitFor('both keys', async () => (await foreignBundle()).x509Authorities.length === 2);
    await federate(moved.url);
    await waitFor('the next key', async () => (await foreignBundle()).sequenceNumber === 3);
    // The key of the beginning counts no more.
    await federate(old.url);
    const refreshed = callUnary(server.local(TRUST_DOMAIN), 'RefreshBundle', { trustDomain: OTHER });
    await expect(refreshed).rejects.toThrow('did not authenticate itself');
  });

  it('section 5.2.2.4: an endpoint that serves the bundle of another trust domain is verified by the bundle of its own', async () => {
    const svid = await other.issueX509Svid('/bundles');
    await using endpoint = await ScriptedEndpoint.overTls(
      svid,
      serveText(formatBundleDocument(await ownBundle())),
    );
    const endpointId = parseSpiffeId('spiffe://other.test/bundles');
    const fetched = await fetchOnce(endpoint.url, bySpiffe(other.bundle(), endpointId));
    expect(formatBundleDocument(fetched)).toBe(formatBundleDocument(await ownBundle()));
    const own = bySpiffe(await ownBundle(), endpointId);
    await expect(fetchOnce(endpoint.url, own)).rejects.toMatchObject({ reason: 'unauthenticated' });
  });

  /** Makes the relationship, or leads it to another endpoint, and has it refreshed. */
  async function federate(endpoint: string, bundle?: TrustBundle): Promise<void> {
    const client = server.local(TRUST_DOMAIN);
    const relationship = {
      trustDomain: OTHER,
      bundleEndpointUrl: endpoint,
      httpsSpiffe: { endpointSpiffeId: OTHER_ID },
    };
    await callUnary(client, 'BatchDeleteFederationRelationship', { trustDomains: [OTHER] });
    const { results } = await callUnary(client, 'BatchCreateFederationRelationship', {
      federationRelationships: [
        { ...relationship, ...(bundle && { trustDomainBundle: bundleToProto(bundle) }) },
      ],
    });
    expect(results[0]?.status?.message).toBe('OK');
  }

  async function foreignBundle(): Promise<TrustBundle> {
    return bundleFromProto(
      await callUnary(server.local(BUNDLE), 'GetFederatedBundle', { trustDomain: OTHER }),
    );
  }
});
