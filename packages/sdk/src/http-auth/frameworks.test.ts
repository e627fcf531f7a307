/** Express and Fastify, real ones behind real TLS: who gets in by which credential, and that a wrong one never falls back to another. */
import { once } from 'node:events';
import type { AddressInfo, Server as NetServer } from 'node:net';
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import express from 'express';
import Fastify from 'fastify';
import { fetch as undiciFetch } from 'undici';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { requestSpiffeId, requireSpiffeId } from '../express.js';
import { spiffePlugin } from '../fastify.js';
import { allowAnonymousOr, authorizeAny, authorizeId, authorizeOneOf } from '../tls/authorizer.js';
import { createHttpsServer } from '../tls/create-servers.js';
import { withoutSvid } from '../tls/server-identity.js';
import { createFetchDispatcher } from '../undici/fetch-dispatcher.js';
import { MemoryReplayStore } from '../wit/replay-store.js';
import { witFetch } from '../wit-http/wit-fetch.js';
import type { X509Trust } from '../x509-source.js';
import type { RequestAuthentication } from './authenticate-request.js';

const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';
const BEARER = 'spiffe://example.org/bearer';
const WIT = 'spiffe://example.org/wit';

const tokens = TestTokenAuthority.create('example.org');
const foreignTokens = TestTokenAuthority.create('foreign.test');
let authority: TestAuthority;
let server: TestIdentity;
let client: TestIdentity;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  server = new TestIdentity(await authority.issueX509Svid('/server'), bundlesOf(authority));
  client = new TestIdentity(await authority.issueX509Svid('/client'), bundlesOf(authority));
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const trust = {
  bundles: new Map([
    [
      tokens.trustDomain,
      {
        trustDomain: tokens.trustDomain,
        jwtAuthorities: [tokens.authority],
        witAuthorities: [tokens.authority],
      },
    ],
  ]),
};

const FRAMEWORKS: Readonly<Record<string, (options: RequestAuthentication) => Promise<NetServer>>> = {
  express: (options) => {
    const app = express();
    app.use(requireSpiffeId(options));
    app.use(express.json());
    app.all('/', (request, response) => {
      const body: unknown = Buffer.isBuffer(request.body)
        ? JSON.parse(request.body.toString())
        : request.body;
      response.json({ id: requestSpiffeId(request), by: request.spiffeIdentity?.by, body });
    });
    return Promise.resolve(createHttpsServer(server, allowAnonymousOr(authorizeAny()), app));
  },
  fastify: async (options) => {
    let made: ReturnType<typeof createHttpsServer> | undefined;
    const app = Fastify({
      serverFactory: (handler) =>
        (made = createHttpsServer(server, allowAnonymousOr(authorizeAny()), handler)),
    });
    await app.register(spiffePlugin, options);
    app.all('/', (request) => ({
      id: requestSpiffeId(request),
      by: request.spiffeIdentity?.by,
      body: request.body ?? undefined,
    }));
    await app.ready();
    if (made === undefined) throw new Error('no server was made');
    return made;
  },
};

describe.each(Object.entries(FRAMEWORKS))('%s', (_name, create) => {
  async function start(more: Partial<RequestAuthentication> = {}): Promise<{
    readonly origin: string;
    readonly refusals: BonafideError[];
  }> {
    const refusals: BonafideError[] = [];
    const listening = await create({
      authorizer: authorizeOneOf([CLIENT, BEARER, WIT]),
      onRefusal: (error) => refusals.push(error),
      ...more,
    });
    closers.push(() => listening.close());
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    return { origin: `https://127.0.0.1:${(listening.address() as AddressInfo).port}`, refusals };
  }

  function dispatch(source: X509Trust): ReturnType<typeof createFetchDispatcher> {
    const dispatcher = createFetchDispatcher(source, { authorize: authorizeId(SERVER) });
    closers.push(() => dispatcher.destroy());
    return dispatcher;
  }

  async function ask(
    origin: string,
    source: X509Trust,
    headers: Record<string, string> = {},
  ): Promise<{ readonly status: number; readonly text: string; readonly challenge: string | null }> {
    const response = await undiciFetch(origin, { dispatcher: dispatch(source), headers });
    return {
      status: response.status,
      text: await response.text(),
      challenge: response.headers.get('www-authenticate'),
    };
  }

  async function bearer(path = '/bearer', audience = SERVER, from = tokens): Promise<Record<string, string>> {
    return { authorization: `Bearer ${(await from.issueJwtSvid(path, [audience])).token}` };
  }

  it('names the client of mutual TLS, and refuses who has no SVID or may not ask', async () => {
    const { origin, refusals } = await start();
    expect(await ask(origin, client)).toMatchObject({
      status: 200,
      text: `{"id":"${CLIENT}","by":"x509_svid"}`,
    });
    expect(await ask(origin, withoutSvid(client))).toEqual({
      status: 403,
      text: 'not authorized',
      challenge: null,
    });
    const other = new TestIdentity(await authority.issueX509Svid('/other'), bundlesOf(authority));
    expect(await ask(origin, other)).toMatchObject({ status: 403, text: 'not authorized' });
    expect(refusals.map(({ reason }) => reason)).toEqual(['unauthenticated', 'permission_denied']);
    // Not configured: whatever the application uses the header for, it is no identity.
    expect((await ask(origin, withoutSvid(client), await bearer())).status).toBe(403);
  });

  it('takes a JWT-SVID before the connection, and never falls back from one that is wrong', async () => {
    const { origin, refusals } = await start({ jwt: { trust, audience: SERVER } });
    for (const source of [client, withoutSvid(client)]) {
      const { status, text } = await ask(origin, source, await bearer());
      expect({ status, text }).toEqual({ status: 200, text: `{"id":"${BEARER}","by":"jwt_svid"}` });
    }
    const wrong = [
      await bearer('/bearer', 'spiffe://example.org/elsewhere'),
      await bearer('/bearer', SERVER, foreignTokens),
      await bearer('/bearer', SERVER, TestTokenAuthority.create('example.org')),
      { authorization: 'Bearer' },
      { authorization: 'Basic dXNlcjpwYXNz' },
      { authorization: 'Bearer a.b.c, Bearer d.e.f' },
    ];
    for (const headers of wrong) {
      expect(await ask(origin, client, headers)).toEqual({
        status: 401,
        text: 'not authenticated',
        challenge: 'Bearer',
      });
    }
    expect((await ask(origin, client, await bearer('/other'))).status).toBe(403);
    expect(refusals).toHaveLength(wrong.length + 1);
    expect((await ask(origin, client)).text).toContain(CLIENT);
  });

  it('takes a WIT-SVID whose proof covers the body, and hands the verified body on', async () => {
    const wit = { trust, origins: [] as string[], replay: new MemoryReplayStore() };
    const { origin, refusals } = await start({ wit });
    wit.origins.push(origin);
    const source = { svid: await tokens.issueWitSvid('/wit'), ...trust };
    const dispatcher = dispatch(withoutSvid(client));
    const tampered: { body?: string } = {};
    const send: typeof fetch = (input, init) => {
      const changed: object = { ...init, dispatcher, ...tampered };
      return fetch(input, changed);
    };
    const call = witFetch(source, { fetch: send });
    const post = { method: 'POST', body: '{"total":12}', headers: { 'content-type': 'application/json' } };
    const response = await call(`${origin}/`, post);
    expect(await response.text()).toBe(`{"id":"${WIT}","by":"wit_svid","body":{"total":12}}`);
    expect(await (await call(`${origin}/`)).text()).toContain(WIT);
    tampered.body = '{"total":99}';
    expect((await call(`${origin}/`, post)).status).toBe(403);
    expect(refusals.map(({ reason }) => reason)).toEqual(['unauthenticated']);
  });
});

it('says so when a handler asks for an ID that nobody looked for', () => {
  expect(() => requestSpiffeId({})).toThrow('requireSpiffeId has to stand before this handler');
});
