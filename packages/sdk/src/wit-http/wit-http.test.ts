/** WIT-SVIDs over real HTTP: fetch and node:http clients, node:http servers, and everything that may be changed on the way. */
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentDigest } from '../http-signature/content-digest.js';
import { fieldLines } from '../http-signature/http-message.js';
import { signRequest } from '../http-signature/sign-message.js';
import { authorizeAny, authorizeId, authorizeMemberOf } from '../tls/authorizer.js';
import { createWorkloadProofToken } from '../wit/create-workload-proof-token.js';
import { MemoryReplayStore } from '../wit/replay-store.js';
import type { WitIdentity, WitTrust } from '../wit-source.js';
import { signNodeRequest, verifyWitResponse } from './node-client.js';
import { sendSignedResponse } from './send-signed-response.js';
import { verifyWitRequest, witErrorStatus, type VerifyWitRequestOptions } from './verify-wit-request.js';
import { witFetch } from './wit-fetch.js';

const authority = TestTokenAuthority.create('example.org');
const stranger = TestTokenAuthority.create('example.org');
const trust: WitTrust = {
  bundles: new Map([
    [authority.trustDomain, { trustDomain: authority.trustDomain, witAuthorities: [authority.authority] }],
  ]),
};
const plain = { allowPlaintext: true };

let web: WitIdentity & WitTrust;
let billing: WitIdentity & WitTrust;
let origin: string;
let server: http.Server;
let overrides: Partial<VerifyWitRequestOptions>;
/** Done instead of answering unsigned. */
let answer:
  | ((peer: Awaited<ReturnType<typeof verifyWitRequest>>, response: ServerResponse) => Promise<void>)
  | undefined;
let replay: MemoryReplayStore;

beforeAll(async () => {
  web = { svid: await authority.issueWitSvid('/web'), ...trust };
  billing = { svid: await authority.issueWitSvid('/billing'), ...trust };
});

beforeEach(async () => {
  overrides = {};
  answer = undefined;
  replay = new MemoryReplayStore();
  server = http.createServer((request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const authorizer = authorizeId('spiffe://example.org/web');
    const options = { trust, authorizer, origins: [origin], replay, ...overrides };
    const peer = await verifyWitRequest(request, options);
    if (answer !== undefined) {
      await answer(peer, response);
      return;
    }
    const body = peer.body?.toString() ?? (await text(request));
    response.end(JSON.stringify({ peer: peer.spiffeId, proof: peer.proof, body }));
  } catch (error) {
    response.statusCode = witErrorStatus(error);
    response.end(error instanceof BonafideError ? error.message : 'unexpected');
  }
}

/** As bytes that no client library would change; @returns the status and the body. */
async function raw(
  lines: readonly string[],
  body = '',
): Promise<{ readonly status: number; readonly text: string }> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write([...lines, 'Host: elsewhere', 'Connection: close', '', body].join('\r\n'));
  const response = await text(socket);
  return { status: Number(response.split(' ')[1]), text: response.split('\r\n\r\n')[1] ?? '' };
}

async function signed(
  over: {
    method?: string;
    target?: string;
    body?: string;
    headers?: Record<string, string>;
    svid?: WitSvid;
  } = {},
  options: Partial<Parameters<typeof signRequest>[2]> = {},
): Promise<{ first: string; headers: Record<string, string>; body: string }> {
  const { method = 'POST', target = '/invoices?id=1', body = 'hello', headers = {}, svid = web.svid } = over;
  const [path = ''] = target.split('?');
  const proof = await signRequest(
    svid,
    { method, target, fields: fieldLines(headers) },
    { audience: origin + path, body: Buffer.from(body), ...options },
  );
  return {
    first: `${method} ${target} HTTP/1.1`,
    headers: { 'content-length': String(body.length), ...headers, ...proof.headers },
    body,
  };
}

function send({ first, headers, body }: Awaited<ReturnType<typeof signed>>): ReturnType<typeof raw> {
  return raw([first, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)], body);
}

describe('a request', () => {
  it.each(['http_signature', 'workload_proof_token'] as const)(
    'by fetch with %s tells who sent it',
    async (proof) => {
      const call = witFetch(web, { ...plain, proof });
      for (let round = 0; round < 3; round += 1) {
        const response = await call(`${origin}/invoices?id=1#part`, {
          method: 'POST',
          body: 'hello',
          headers: { authorization: 'Bearer abc', 'txn-token': 'txn' },
        });
        expect(await response.json()).toEqual({ peer: 'spiffe://example.org/web', proof, body: 'hello' });
      }
      const response = await call(new Request(`${origin}/`));
      expect(await response.json()).toMatchObject({ peer: 'spiffe://example.org/web', body: '' });
    },
  );

  it.each(['http_signature', 'workload_proof_token'] as const)(
    'by node:http with %s tells who sent it',
    async (proof) => {
      const request = http.request(`${origin}/invoices?id=1`, {
        method: 'PUT',
        headers: { 'content-type': 'text/plain', authorization: 'Basic YTpi' },
      });
      const body = Buffer.from('hello');
      await signNodeRequest(web, request, { ...plain, body, proof });
      request.end(body);
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      expect(JSON.parse(await text(response))).toEqual({
        peer: 'spiffe://example.org/web',
        proof,
        body: 'hello',
      });
    },
  );

  it('is accepted once', async () => {
    const request = await signed();
    expect((await send(request)).status).toBe(200);
    expect(await send(request)).toEqual({ status: 400, text: 'the proof of possession was used before' });
    const token = await createWorkloadProofToken(web.svid, { audience: `${origin}/` });
    const lines = [
      'GET / HTTP/1.1',
      `workload-identity-token: ${web.svid.token}`,
      `workload-proof-token: ${token}`,
    ];
    expect((await raw(lines)).status).toBe(200);
    expect(await raw(lines)).toEqual({ status: 400, text: 'the proof of possession was used before' });
  });

  it.each<
    [string, (request: Awaited<ReturnType<typeof signed>>) => Partial<Awaited<ReturnType<typeof signed>>>]
  >([
    ['method', ({ first }) => ({ first: first.replace('POST', 'PUT') })],
    ['path', ({ first }) => ({ first: first.replace('/invoices', '/accounts') })],
    ['query', ({ first }) => ({ first: first.replace('id=1', 'id=2') })],
    ['body', () => ({ body: 'hellO' })],
    [
      'body and digest',
      ({ headers }) => ({
        body: 'hellO',
        headers: { ...headers, 'content-digest': contentDigest(Buffer.from('hellO')) },
      }),
    ],
    ['content type', ({ headers }) => ({ headers: { ...headers, 'content-type': 'text/html' } })],
    ['authorization', ({ headers }) => ({ headers: { ...headers, authorization: 'Bearer another' } })],
    ['transaction token', ({ headers }) => ({ headers: { ...headers, 'txn-token': 'another' } })],
    ['created time', ({ headers }) => ({ headers: edit(headers, /created=(\d)/, 'created=2') })],
    ['expiry', ({ headers }) => ({ headers: edit(headers, /expires=(\d+)/, 'expires=9999999999') })],
    ['nonce', ({ headers }) => ({ headers: edit(headers, /nonce="./, 'nonce="!') })],
    ['audience', ({ headers }) => ({ headers: edit(headers, /wimse-aud="/, 'wimse-aud="x') })],
    [
      'wish for a signed response',
      ({ headers }) => ({ headers: edit(headers, /$/, ';wimse-sign-response') }),
    ],
    ['tag', ({ headers }) => ({ headers: edit(headers, /tag="wimse/, 'tag="other') })],
    [
      'WIT-SVID of another',
      ({ headers }) => ({ headers: { ...headers, 'workload-identity-token': billing.svid.token } }),
    ],
    ['key ID', ({ headers }) => ({ headers: edit(headers, /$/, ';keyid="a"') })],
    ...[
      '"@method" ',
      '"@request-target" ',
      '"content-type" ',
      '"content-digest" ',
      '"authorization" ',
      '"txn-token" ',
      ' "workload-identity-token"',
    ].map(
      (component) =>
        [
          `coverage of ${component}`,
          ({ headers }: { headers: Record<string, string> }) => ({ headers: edit(headers, component, '') }),
        ] as [
          string,
          (request: Awaited<ReturnType<typeof signed>>) => Partial<Awaited<ReturnType<typeof signed>>>,
        ],
    ),
    ['signature away', ({ headers }) => ({ headers: without(headers, 'signature') })],
    ['signature input away', ({ headers }) => ({ headers: without(headers, 'signature-input') })],
    ['WIT-SVID away', ({ headers }) => ({ headers: without(headers, 'workload-identity-token') })],
    ['digest away', ({ headers }) => ({ headers: without(headers, 'content-digest') })],
    ['authorization away', ({ headers }) => ({ headers: without(headers, 'authorization') })],
  ])('is refused with another %s', async (_name, change) => {
    const headers = { 'content-type': 'text/plain', authorization: 'Bearer a', 'txn-token': 'b' };
    const request = await signed({ headers });
    const changed = { ...request, ...change(request) };
    expect(changed).not.toEqual(request);
    expect((await send(changed)).status).toBe(400);
    expect((await send(request)).status).toBe(200); // what was refused did not use it up
  });

  it.each<[string, () => Promise<Awaited<ReturnType<typeof signed>>>, string]>([
    ['for another audience', () => signed({}, { audience: 'http://elsewhere/invoices' }), 'which is not us'],
    ['that lives too long', () => signed({}, { lifetimeSeconds: 301 }), 'lives too long'],
    [
      'from a clock that is ten minutes slow',
      () => signed({}, { clock: new FakeClock(addSeconds(new Date(), -600)) }),
      'expired at',
    ],
    [
      'from a clock that is two minutes fast',
      () => signed({}, { clock: new FakeClock(addSeconds(new Date(), 120)) }),
      'made in the future',
    ],
    [
      'of an authority that is not ours',
      async () => signed({ svid: await stranger.issueWitSvid('/web') }),
      'has no ES256 key',
    ],
    [
      'with a body that is too large',
      () => {
        overrides = { maxBodyBytes: 4 };
        return signed();
      },
      'larger than 4 bytes',
    ],
  ])('%s is refused with the reason', async (_name, make, reason) => {
    const result = await send(await make());
    expect(result.status).toBe(400);
    expect(result.text).toContain(reason);
  });

  it('of a peer that is not authorized is refused, and its nonce is not remembered', async () => {
    const result = await send(await signed({ svid: billing.svid }));
    expect(result.status).toBe(403);
    expect(result.text).toContain('expected spiffe://example.org/web');
    expect(replay.size).toBe(0);
  });

  it('is refused while the replay store is full', async () => {
    overrides = { replay: new MemoryReplayStore({ capacity: 1 }) };
    expect((await send(await signed())).status).toBe(200);
    expect((await send(await signed())).status).toBe(503);
  });

  it('is refused with a header twice, with two proofs, or without a proof', async () => {
    const request = await signed();
    const twice = await raw(
      [
        request.first,
        ...Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`),
        `Workload-Identity-Token: ${web.svid.token}`,
      ],
      request.body,
    );
    expect(twice.text).toContain('twice');
    const proof = await createWorkloadProofToken(web.svid, { audience: `${origin}/invoices` });
    const two = await send({ ...request, headers: { ...request.headers, 'workload-proof-token': proof } });
    expect(two.text).toContain('two proofs');
    const bearer = await raw(['GET / HTTP/1.1', `Workload-Identity-Token: ${web.svid.token}`]);
    expect(bearer.text).toContain('no proof of possession');
    overrides = { accept: ['http_signature'] };
    const weak = await raw([
      'GET / HTTP/1.1',
      `Workload-Identity-Token: ${web.svid.token}`,
      `Workload-Proof-Token: ${proof}`,
    ]);
    expect(weak.text).toContain('accepted: http_signature');
  });

  it('with the WIT-SVID in the Authorization header is neither made nor accepted', async () => {
    const headers = { authorization: `Bearer ${web.svid.token}` };
    await expect(witFetch(web, plain)(origin, { headers })).rejects.toThrow(
      'must not be sent in the Authorization header',
    );
    expect((await send(await signed({ headers }))).text).toContain('where it must not be');
  });

  it('with a proof token that does not name a token of the request is refused', async () => {
    const proof = await createWorkloadProofToken(web.svid, { audience: `${origin}/` });
    const lines = [
      'GET / HTTP/1.1',
      `Workload-Identity-Token: ${web.svid.token}`,
      `Workload-Proof-Token: ${proof}`,
    ];
    expect((await raw([...lines, 'Authorization: Bearer abc'])).text).toContain('"ath"');
    expect((await raw([...lines, 'Authorization: Basic abc'])).text).toContain('authorization');
    expect((await raw([...lines, 'Txn-Token: abc'])).text).toContain('"tth"');
    overrides = { otherTokenHeaders: ['X-User-Token'] };
    expect((await raw([...lines, 'X-User-Token: abc'])).text).toContain('x-user-token');
    const call = witFetch(web, {
      ...plain,
      proof: 'workload_proof_token',
      otherTokenHeaders: ['x-user-token'],
    });
    expect((await call(origin, { headers: { 'x-user-token': 'abc' } })).status).toBe(200);
  });

  it('is not sent in the clear unless that is allowed', async () => {
    await expect(witFetch(web)(origin)).rejects.toThrow('in the clear');
    const request = http.request(origin);
    request.on('error', () => undefined);
    await expect(signNodeRequest(web, request)).rejects.toThrow('in the clear');
    request.destroy();
  });

  it('is refused when one of 10,000 changes was made to its signature fields, in bounded time', async () => {
    const request = await signed();
    let longestMs = 0;
    const input = request.headers['signature-input'] ?? '';
    const rawHeaders = (value: string): string[] =>
      Object.entries({ ...request.headers, 'signature-input': value }).flat();
    for (let round = 0; round < 10_000; round += 1) {
      const at = (round * 7919) % input.length;
      const character = String.fromCharCode(32 + (round % 95));
      const changed = input.slice(0, at) + (input[at] === character ? '' : character) + input.slice(at + 1);
      const incoming = Object.assign(Readable.from([]), {
        method: 'POST',
        url: '/invoices?id=1',
        rawHeaders: rawHeaders(changed),
      });
      const options = { trust, authorizer: authorizeAny(), origins: [origin], replay };
      const started = process.cpuUsage(); // not the time: the machine may have other work
      const refusal: unknown = await verifyWitRequest(incoming, options).catch((error: unknown) => error);
      const { user, system } = process.cpuUsage(started);
      longestMs = Math.max(longestMs, (user + system) / 1_000);
      expect(refusal).toBeInstanceOf(BonafideError);
    }
    expect(longestMs).toBeLessThan(5_000);
    expect(replay.size).toBe(0);
  }, 600_000);
});

describe('a response', () => {
  const required = {
    ...plain,
    response: { isRequired: true, authorizer: authorizeId('spiffe://example.org/billing') },
  };

  it('that is signed is verified, body and all, by fetch and by node:http', async () => {
    answer = async (peer, response) => {
      expect(peer.wantsSignedResponse).toBe(true);
      response.statusCode = 201;
      response.setHeader('content-type', 'application/json');
      await sendSignedResponse(billing, peer, response, { body: '{"paid":true}' });
    };
    const response = await witFetch(web, required)(`${origin}/invoices`, { method: 'POST', body: 'x' });
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ paid: true });
    const request = http.request(`${origin}/invoices?a=b`);
    const sent = await signNodeRequest(web, request, { ...plain, wantsSignedResponse: true });
    request.end();
    const [incoming] = (await once(request, 'response')) as [IncomingMessage];
    const verified = await verifyWitResponse(trust, incoming, sent, required.response);
    expect(verified?.spiffeId).toBe('spiffe://example.org/billing');
    expect(String(verified?.body)).toBe('{"paid":true}');
  });

  it('that is not signed is refused where it must be, and passed on otherwise', async () => {
    await expect(witFetch(web, required)(origin)).rejects.toThrow('the response is not signed');
    expect((await witFetch(web, plain)(origin)).status).toBe(200);
  });

  it('that is not signed is refused where somebody is named who may answer', async () => {
    const { authorizer } = required.response;
    await expect(witFetch(web, { ...plain, response: { authorizer } })(origin)).rejects.toThrow(
      'the response is not signed',
    );
    const waived = { ...plain, response: { authorizer, isRequired: false } };
    expect((await witFetch(web, waived)(origin)).status).toBe(200);
  });

  it('to a workload proof token cannot be verified, and is refused where it must be', async () => {
    const request = http.request(origin);
    const sent = await signNodeRequest(web, request, { ...plain, proof: 'workload_proof_token' });
    request.end();
    const [incoming] = (await once(request, 'response')) as [IncomingMessage];
    expect(await verifyWitResponse(trust, incoming, sent)).toBeUndefined();
    await expect(verifyWitResponse(trust, incoming, sent, required.response)).rejects.toThrow(
      'only the answer to a request with an HTTP signature',
    );
    incoming.resume();
  });

  it.each<[string, (response: ServerResponse) => unknown, string]>([
    ['another status', (response) => (response.statusCode = 202), 'not as it was signed'],
    [
      'another body',
      (response) => {
        response.removeHeader('content-length');
      },
      'the body is not the one',
    ],
    [
      'another content type',
      (response) => response.setHeader('content-type', 'text/html'),
      'not as it was signed',
    ],
    [
      'no digest',
      (response) => {
        response.removeHeader('content-digest');
      },
      'content-digest',
    ],
  ])('with %s is refused even where none is asked for', async (name, change, reason) => {
    answer = async (peer, response) => {
      response.setHeader('content-type', 'text/plain');
      const end = response.end.bind(response);
      response.end = ((body: Buffer) => {
        change(response);
        return end(name === 'another body' ? Buffer.from('altered') : body);
      }) as typeof response.end;
      await sendSignedResponse(billing, peer, response, { body: 'genuine' });
    };
    await expect(witFetch(web, plain)(origin)).rejects.toThrow(reason);
  });

  it('to another request, or of a server that is not meant, is refused', async () => {
    answer = (_peer, response) => sendSignedResponse(billing, { nonce: 'other' }, response, { body: 'x' });
    await expect(witFetch(web, plain)(origin)).rejects.toThrow('answers another request');
    answer = (peer, response) => sendSignedResponse(web, peer, response, { body: 'x' });
    await expect(witFetch(web, required)(origin)).rejects.toMatchObject({ reason: 'permission_denied' });
  });

  it('that redirects is handed back, not followed with our proof', async () => {
    overrides = { authorizer: authorizeMemberOf('example.org') };
    answer = (_peer, response) => {
      response.writeHead(302, { location: '/elsewhere' }).end();
      return Promise.resolve();
    };
    expect((await witFetch(web, plain)(origin)).status).toBe(302);
  });
});

function edit(headers: Record<string, string>, from: RegExp | string, to: string): Record<string, string> {
  return { ...headers, 'signature-input': (headers['signature-input'] ?? '').replace(from, to) };
}

function without(headers: Record<string, string>, gone: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== gone));
}
