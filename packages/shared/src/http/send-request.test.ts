import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodePem } from '../crypto/pem.js';
import { ScriptedEndpoint, serveText, type Script } from '@bonafide/testing/scripted-endpoint';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { sendRequest, type HttpAnswer, type HttpRequest } from './send-request.js';

let authority: TestAuthority;
let endpoint: ScriptedEndpoint;

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});

beforeEach(async () => {
  const certificate = { uriNames: [], dnsNames: ['localhost'] };
  const identity = await authority.issueX509Svid('/web', { certificate });
  endpoint = await ScriptedEndpoint.overTls(identity, serveText('hello', { 'x-a': 'b' }));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await endpoint[Symbol.asyncDispose]();
});

function send(options: Partial<HttpRequest> = {}): Promise<HttpAnswer> {
  return sendRequest({
    method: 'GET',
    url: new URL(endpoint.url),
    limitMs: 5_000,
    largestAnswerBytes: 100,
    signal: new AbortController().signal,
    tls: { ca: encodePem('CERTIFICATE', authority.certificate) },
    ...options,
  });
}

const says =
  (text: string): Script =>
  (socket) =>
    socket.write(text);

describe('sendRequest', () => {
  it('sends the body with its length and gives the whole answer', async () => {
    const { status, body, headers } = await send({ method: 'PUT', body: 'ü', headers: { 'x-c': 'd' } });
    expect({ status, body, a: headers['x-a'] }).toEqual({ status: 200, body: 'hello', a: 'b' });
    expect(endpoint.requests[0]).toMatch(/^PUT \/ HTTP\/1\.1\r\n/);
    expect(endpoint.requests[0]?.toLowerCase()).toContain('content-length: 2\r\n');
    expect(endpoint.requests[0]).toContain('x-c: d\r\n');
  });

  it('believes whoever answers, and speaks without TLS, only when told to', async () => {
    await expect(send({ tls: {} })).rejects.toMatchObject({ reason: 'unavailable' });
    expect((await send({ tls: { isUnverified: true } })).body).toBe('hello');

    const plain = createServer((_request, response) => response.end('plain'));
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const url = new URL(`http://127.0.0.1:${(plain.address() as AddressInfo).port}/`);
    await expect(send({ url })).rejects.toMatchObject({ reason: 'invalid_argument' });
    expect((await send({ url, allowsPlainHttp: true })).body).toBe('plain');
    plain.close();
  });

  it('does not go where a redirect leads', async () => {
    endpoint.script = says(`HTTP/1.1 307 X\r\nlocation: ${endpoint.url}other\r\ncontent-length: 0\r\n\r\n`);
    expect((await send()).status).toBe(307);
    expect(endpoint.requests).toHaveLength(1);
  });

  it.each([
    [
      'a longer body',
      says(`HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n${'x'.repeat(101)}`),
      'longer than',
    ],
    ['one that never ends', says(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(200)}`), 'longer than'],
    ['silence', says(''), 'no answer within 300 ms'],
    ['half an answer', says('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx'), 'no answer within 300 ms'],
    [
      'an answer that breaks off',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx'),
      'abort',
    ],
    ['no HTTP', says('hello\r\n\r\n'), 'Parse Error'],
  ] satisfies [string, Script, string][])('refuses %s', async (_name, script, why) => {
    endpoint.script = script;
    const failure = expect(send({ limitMs: 300 })).rejects;
    await failure.toMatchObject({ reason: 'unavailable', message: expect.stringContaining(why) as string });
  });

  it('is cancelled by its signal', async () => {
    endpoint.script = says('');
    const stop = new AbortController();
    const sent = send({ signal: stop.signal });
    stop.abort();
    await expect(sent).rejects.toMatchObject({ reason: 'cancelled' });
  });

  it('asks nothing of a server that it cannot authenticate, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const stranger = await TestAuthority.create('example.org');
    const strangers = { ca: encodePem('CERTIFICATE', stranger.certificate) };
    await expect(send({ tls: strangers })).rejects.toMatchObject({ reason: 'unavailable' });
    await expect(send({ url: new URL(`https://127.0.0.1:${endpoint.port}/`) })).rejects.toThrow(/altname/i);
    expect(endpoint.requests).toEqual([]);
  });

  it('speaks https only', async () => {
    await expect(send({ url: new URL('http://localhost/') })).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });
});
