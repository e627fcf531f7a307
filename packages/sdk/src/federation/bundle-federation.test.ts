/** Bundles of other trust domains: fetched and followed over real TLS, served, and used to verify peers and tokens. */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { ScriptedEndpoint, serveText } from '@bonafide/testing/scripted-endpoint';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { allowAnonymous, authorizeMemberOf } from '../tls/authorizer.js';
import { createHttpsServer } from '../tls/create-servers.js';
import { createHttpsAgent } from '../tls/https-agent.js';
import { peerSpiffeId } from '../tls/peer-spiffe-id.js';
import { withTrust } from '../tls/server-identity.js';
import { verifyJwtSvid } from '../verify-jwt-svid.js';
import { BundleSet } from './bundle-set.js';
import type { BundleEndpoint } from './bundle-endpoint.js';
import { fetchBundle } from './fetch-bundle.js';
import { bundleDocument, parseBundleDocument, type FetchedBundle } from './fetched-bundle.js';
import { bundleHandler } from './serve-bundle.js';
import { watchBundle } from './watch-bundle.js';

const OURS = parseTrustDomain('example.org');
const THEIRS = parseTrustDomain('other.test');
const ENDPOINT = 'spiffe://other.test/endpoint';

const tokens = TestTokenAuthority.create('other.test');
let ours: TestAuthority;
let theirs: TestAuthority;
let stranger: TestAuthority;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  ours = await TestAuthority.create('example.org');
  theirs = await TestAuthority.create('other.test');
  stranger = await TestAuthority.create('other.test');
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function theirBundle(more: Partial<TrustBundle> = {}): TrustBundle {
  const bundle = { ...theirs.bundle(), jwtAuthorities: [tokens.authority], sequenceNumber: 3 };
  return { ...bundle, refreshHintSeconds: 60, ...more };
}

async function overTls(document: string, path = '/endpoint'): Promise<ScriptedEndpoint> {
  const endpoint = await ScriptedEndpoint.overTls(await theirs.issueX509Svid(path), serveText(document));
  closers.push(() => endpoint[Symbol.asyncDispose]());
  return endpoint;
}

function bySpiffe(url: string, from = theirs): BundleEndpoint {
  return { profile: 'https_spiffe', url, endpointId: ENDPOINT, trust: { bundles: bundlesOf(from) } };
}

async function listen(server: Server): Promise<number> {
  closers.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('fetchBundle', () => {
  it('reads every profile, the number and the hint of an endpoint with the right SPIFFE ID', async () => {
    const { url } = await overTls(formatBundleDocument(theirBundle()));
    const bundle = await fetchBundle('spiffe://other.test', bySpiffe(url));
    expect(bundle).toEqual({
      trustDomain: THEIRS,
      x509Authorities: [theirs.certificate],
      jwtAuthorities: [tokens.authority],
      witAuthorities: [],
      sequenceNumber: 3,
      refreshHintSeconds: 60,
    });
    expect(parseBundleDocument('other.test', bundleDocument(bundle))).toEqual(bundle);
  });

  it('believes a certificate of the web for the host name, of the authorities that are named', async () => {
    const web = await stranger.issueX509Svid('/web', {
      certificate: { uriNames: [], dnsNames: ['localhost'] },
    });
    await using endpoint = await ScriptedEndpoint.overTls(
      web,
      serveText(formatBundleDocument(theirBundle())),
    );
    const { url } = endpoint;
    const ca = encodePem('CERTIFICATE', stranger.certificate);
    expect(await fetchBundle('other.test', { profile: 'https_web', url, ca })).toMatchObject({
      sequenceNumber: 3,
    });
    for (const wrong of [
      { profile: 'https_web', url } as const,
      { profile: 'https_web', url, ca: encodePem('CERTIFICATE', ours.certificate) } as const,
      bySpiffe(url, stranger),
    ]) {
      await expect(fetchBundle('other.test', wrong)).rejects.toMatchObject({ reason: 'unauthenticated' });
    }
  });

  it('refuses an endpoint of another ID or authority, and one that nothing is known of', async () => {
    const { url } = await overTls(formatBundleDocument(theirBundle()), '/elsewhere');
    await expect(fetchBundle('other.test', bySpiffe(url))).rejects.toThrow(
      `it is spiffe://other.test/elsewhere; expected ${ENDPOINT}`,
    );
    const right = await overTls(formatBundleDocument(theirBundle()));
    await expect(fetchBundle('other.test', bySpiffe(right.url, stranger))).rejects.toMatchObject({
      reason: 'unauthenticated',
    });
    await expect(fetchBundle('other.test', bySpiffe(right.url, ours))).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
    expect(right.requests).toEqual([]);
  });

  it('refuses what is malformed, and is left when it stalls or is told to stop', async () => {
    const endpoint = await overTls('{"keys": "none"}');
    await expect(fetchBundle('other.test', bySpiffe(endpoint.url))).rejects.toThrow('no "keys" array');
    const empty = await overTls('{"keys": []}');
    await expect(fetchBundle('other.test', bySpiffe(empty.url))).rejects.toThrow('it has no key at all');
    endpoint.script = () => undefined;
    await expect(fetchBundle('other.test', bySpiffe(endpoint.url), { timeoutMs: 300 })).rejects.toMatchObject(
      { reason: 'deadline_exceeded' },
    );
    const signal = AbortSignal.timeout(50);
    await expect(fetchBundle('other.test', bySpiffe(endpoint.url), { signal })).rejects.toMatchObject({
      reason: 'cancelled',
    });
    for (const [trustDomain, url] of [
      ['Other.test', endpoint.url],
      ['other.test', 'http://localhost/'],
      ['other.test', 'https://user@localhost/'],
    ] as const) {
      await expect(fetchBundle(trustDomain, bySpiffe(url))).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
  });
});

describe('watchBundle', () => {
  interface Watch {
    readonly clock: FakeClock;
    readonly updates: FetchedBundle[];
    readonly errors: string[];
    readonly end: () => Promise<void>;
  }

  function watch(url: string): Watch {
    const clock = new FakeClock(new Date());
    const updates: FetchedBundle[] = [];
    const errors: string[] = [];
    const controller = new AbortController();
    const over = watchBundle(
      'other.test',
      bySpiffe(url),
      { onUpdate: (bundle) => updates.push(bundle), onError: ({ message }) => errors.push(message) },
      { clock, signal: controller.signal },
    );
    const end = (): Promise<void> => {
      controller.abort();
      return over;
    };
    closers.push(end);
    return { clock, updates, errors, end };
  }

  /** To be called once the turn before has been told of. @returns how long the watch waited. */
  async function nextTurn({ clock }: Watch): Promise<number> {
    await clock.advance(0);
    const waitedMs = clock.nextTimerMs ?? 0;
    await clock.advance(waitedMs);
    return waitedMs;
  }

  it('asks again when the hint says so, tells of changes alone, and ends with its signal', async () => {
    const endpoint = await overTls(formatBundleDocument(theirBundle()));
    const watched = watch(endpoint.url);
    const { clock, updates, errors, end } = watched;
    await waitFor('the first bundle', () => updates.length === 1);
    const waitedMs = await nextTurn(watched);
    expect(waitedMs).toBeGreaterThanOrEqual(54_000);
    expect(waitedMs).toBeLessThanOrEqual(60_000);
    await waitFor(
      'the second answer',
      () => endpoint.requests.length === 2 && (clock.nextTimerMs ?? 0) > 30_000,
    );
    expect(updates).toHaveLength(1);
    endpoint.script = serveText(
      formatBundleDocument(theirBundle({ sequenceNumber: 4, refreshHintSeconds: 1 })),
    );
    await nextTurn(watched);
    await waitFor('the new bundle', () => updates.length === 2);
    expect(updates.map(({ sequenceNumber }) => sequenceNumber)).toEqual([3, 4]);
    expect(await nextTurn(watched)).toBeGreaterThanOrEqual(4_500); // a hint of a second is too short
    expect(errors).toEqual([]);
    await end();
    expect(clock.pendingTimers).toBe(0);
  });

  it('keeps the last good bundle through faults, replays and losses, and tries again', async () => {
    const endpoint = await overTls(formatBundleDocument(theirBundle()));
    const watched = watch(endpoint.url);
    const { updates, errors } = watched;
    await waitFor('the first bundle', () => updates.length === 1);
    for (const [document, told] of [
      ['no JSON', 'not JSON'],
      [formatBundleDocument(theirBundle({ sequenceNumber: 2 })), 'went back from 3 to 2'],
      [formatBundleDocument(theirBundle({ jwtAuthorities: [] })), 'no JWT authorities left'],
    ] as const) {
      endpoint.script = serveText(document);
      await nextTurn(watched);
      await waitFor(told, () => errors.at(-1)?.includes(told));
    }
    expect(updates).toHaveLength(1);
    expect(errors).toHaveLength(3);
    endpoint.script = serveText(formatBundleDocument(theirBundle({ sequenceNumber: 9 })));
    await nextTurn(watched);
    await waitFor('it to be well again', () => updates.length === 2);
  });

  it('authenticates an endpoint of the same trust domain by what it served last', async () => {
    const identity = new TestIdentity(await theirs.issueX509Svid('/endpoint'), bundlesOf(theirs));
    const x509Authorities = [...theirs.bundle().x509Authorities, ...stranger.bundle().x509Authorities];
    let document = formatBundleDocument(theirBundle({ x509Authorities }));
    const server = createHttpsServer(identity, allowAnonymous(), (_request, response) => {
      response.end(document);
    });
    const watched = watch(`https://127.0.0.1:${await listen(server)}/`);
    const { updates, errors } = watched;
    await waitFor('the first bundle', () => updates.length === 1);
    document = formatBundleDocument(theirBundle({ x509Authorities, sequenceNumber: 4 }));
    identity.set(await stranger.issueX509Svid('/endpoint')); // of the authority that only the served bundle has
    await nextTurn(watched);
    await waitFor('the second bundle', () => updates.length === 2 || errors.length > 0);
    expect(errors).toEqual([]);
  });

  it('refuses malformed arguments at once', async () => {
    const watcher = { onUpdate: () => undefined };
    await expect(watchBundle('other.test', bySpiffe('http://localhost/'), watcher)).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });
});

describe('BundleSet', () => {
  it('adds to a source, never in the place of what the source has, and tells of both changes', async () => {
    const source = new TestIdentity(await ours.issueX509Svid('/web'), bundlesOf(ours));
    const set = new BundleSet(source);
    let updates = 0;
    const count = (): void => void (updates += 1);
    set.on('update', count);
    const { bundles } = set;
    expect(set.bundles).toBe(bundles);
    set.put(parseBundleDocument('other.test', formatBundleDocument(theirBundle())));
    set.put({ ...parseBundleDocument('other.test', formatBundleDocument(theirBundle())), trustDomain: OURS });
    expect(set.bundleOf(OURS).x509Authorities).toEqual([ours.certificate]);
    expect(set.bundleOf(THEIRS).jwtAuthorities).toEqual([tokens.authority]);
    expect(bundles.has(THEIRS)).toBe(false);
    source.set(source.svid);
    expect(updates).toBe(3);
    set.remove('other.test');
    set.remove('nobody.test');
    expect(() => set.bundleOf(THEIRS)).toThrow('there is no bundle of trust domain other.test');
    set.off('update', count);
    set.put({ ...set.bundleOf(OURS), trustDomain: THEIRS });
    expect(updates).toBe(4);
    source.set(undefined, new Map());
    expect([...set.bundles.keys()].sort()).toEqual([OURS, THEIRS].sort());
  });

  it('verifies peers and tokens of a trust domain from the moment its bundle is put until it is removed', async () => {
    const set = new BundleSet(new TestIdentity(undefined, bundlesOf(ours)));
    const identity = withTrust(new TestIdentity(await ours.issueX509Svid('/web'), bundlesOf(ours)), set);
    const theirIdentity = new TestIdentity(await theirs.issueX509Svid('/client'), bundlesOf(theirs, ours));
    const server = createHttpsServer(identity, authorizeMemberOf('other.test'), (request, response) => {
      response.end(peerSpiffeId(request.socket));
    });
    const port = await listen(server);
    const ask = async (): Promise<string> => {
      const agent = createHttpsAgent(theirIdentity, authorizeMemberOf('example.org'), { keepAlive: false });
      closers.push(() => {
        agent.destroy();
      });
      const [response] = (await once(https.get({ host: '127.0.0.1', port, agent }), 'response')) as [
        http.IncomingMessage,
      ];
      return (await response.toArray()).join('');
    };
    const { token } = await tokens.issueJwtSvid('/client', ['billing']);
    await expect(ask()).rejects.toThrow();
    await expect(verifyJwtSvid(set, token, 'billing')).rejects.toMatchObject({ reason: 'unauthenticated' });
    set.put(parseBundleDocument('other.test', formatBundleDocument(theirBundle())));
    expect(await ask()).toBe('spiffe://other.test/client');
    expect((await verifyJwtSvid(set, token, 'billing')).spiffeId).toBe('spiffe://other.test/client');
    set.remove('other.test');
    await expect(ask()).rejects.toThrow();
    await expect(verifyJwtSvid(set, token, 'billing')).rejects.toMatchObject({ reason: 'unauthenticated' });
  });
});

describe('bundleHandler', () => {
  it('serves what the other side fetches, and follows the source', async () => {
    const set = new BundleSet();
    const handler = bundleHandler(set, 'other.test', { refreshHintSeconds: 120 });
    const identity = new TestIdentity(await theirs.issueX509Svid('/endpoint'), bundlesOf(theirs));
    const port = await listen(createHttpsServer(identity, allowAnonymous(), handler));
    const endpoint = bySpiffe(`https://127.0.0.1:${port}/any/path`);
    await expect(fetchBundle('other.test', endpoint)).rejects.toThrow('status 503');
    const bundle = parseBundleDocument('other.test', formatBundleDocument(theirBundle()));
    set.put({ ...bundle, refreshHintSeconds: undefined } as FetchedBundle);
    expect(await fetchBundle('other.test', endpoint)).toEqual({ ...bundle, refreshHintSeconds: 120 });
    set.put({ ...bundle, sequenceNumber: 4 } as FetchedBundle);
    expect(await fetchBundle('other.test', endpoint)).toMatchObject({
      sequenceNumber: 4,
      refreshHintSeconds: 60,
    });
  });

  it('answers GET and HEAD without a body, spares whoever has it already, and refuses the rest', async () => {
    const bundles = new Map([
      [THEIRS, parseBundleDocument('other.test', formatBundleDocument(theirBundle()))],
    ]);
    const port = await listen(http.createServer(bundleHandler({ bundles }, 'spiffe://other.test')));
    const ask = (init: RequestInit = {}): Promise<Response> => fetch(`http://127.0.0.1:${port}/`, init);
    const first = await ask();
    expect(first.headers.get('content-type')).toBe('application/json');
    const etag = first.headers.get('etag') ?? '';
    expect((await ask({ headers: { 'if-none-match': etag } })).status).toBe(304);
    expect(await (await ask({ method: 'HEAD' })).text()).toBe('');
    expect((await ask({ method: 'POST', body: 'x' })).status).toBe(405);
    expect((await ask({ method: 'DELETE' })).status).toBe(405);
    for (const refreshHintSeconds of [0, -1, 1.5, Number.NaN]) {
      expect(() => bundleHandler({ bundles }, 'other.test', { refreshHintSeconds })).toThrow('refresh hint');
    }
  });
});
