import type { LookupAddress } from 'node:dns';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseIpNetwork } from '@bonafide/shared/http/network-address';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { ScriptedEndpoint, serveText, type Script } from '@bonafide/testing/scripted-endpoint';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectNonce, type ResolveName } from './call-back.js';

const nonce = `${'n'.repeat(43)}=`;

let endpoint: ScriptedEndpoint;

beforeEach(async () => {
  endpoint = await ScriptedEndpoint.overTcp(serveText(`${nonce}\n`));
});

afterEach(async () => {
  await endpoint[Symbol.asyncDispose]();
});

const resolvesTo =
  (...addresses: readonly string[]): ResolveName =>
  (): Promise<LookupAddress[]> =>
    Promise.resolve(addresses.map((address) => ({ address, family: 4 })));

function call(resolve = resolvesTo('127.0.0.1'), allowed = ['127.0.0.0/8']): Promise<void> {
  return expectNonce(nonce, {
    node: { hostname: 'p1.example.com', agentname: 'default', port: endpoint.port },
    allowedNetworks: allowed.map(parseIpNetwork),
    resolve,
    clock: systemClock,
    signal: new AbortController().signal,
    limitMs: 1_000,
  });
}

const says =
  (text: string): Script =>
  (socket) =>
    socket.end(text);

describe('expectNonce', () => {
  it('is content with the nonce, white space around it or not', async () => {
    await call();
    endpoint.script = serveText(nonce);
    await call();
  });

  it('connects to the address that it checked: a name that changes meanwhile leads nowhere else', async () => {
    const second: Server = createServer((_request, response) => response.end(nonce));
    let calls = 0;
    second.on('connection', () => (calls += 1));
    await new Promise<void>((resolve) => second.listen(endpoint.port, '127.0.0.2', resolve));
    expect((second.address() as AddressInfo).address).toBe('127.0.0.2');
    const answers = ['127.0.0.1', '127.0.0.2'];
    const rebinding: ResolveName = () => resolvesTo(answers.shift() ?? '127.0.0.2')('p1.example.com');
    await call(rebinding, ['127.0.0.1/32']);
    // Asked once, and only the first address was called.
    expect({ left: answers, calls, first: endpoint.connections }).toEqual({
      ...{ left: ['127.0.0.2'], calls: 0, first: 1 },
    });
    await expect(call(rebinding, ['127.0.0.1/32'])).rejects.toThrow(/outside of allowed_networks/);
    expect(calls).toBe(0);
    await new Promise((resolve) => second.close(resolve));
  });

  it('refuses names without an address, and with very many', async () => {
    await expect(call(resolvesTo())).rejects.toThrow(/has no address/);
    const many = Array.from({ length: 33 }, () => '127.0.0.1');
    await expect(call(resolvesTo(...many))).rejects.toThrow(/more than 32/);
    const failing = (): Promise<never> => Promise.reject(new Error('ENOTFOUND'));
    await expect(call(failing)).rejects.toMatchObject({ reason: 'permission_denied' });
  });

  it('does not follow a redirect', async () => {
    const other = await ScriptedEndpoint.overTcp((socket, request) => {
      serveText(nonce)(socket, request);
    });
    for (const status of [301, 302, 303, 307, 308]) {
      endpoint.script = says(
        `HTTP/1.1 ${status} X\r\nlocation: http://127.0.0.1:${other.port}/\r\ncontent-length: 0\r\n\r\n`,
      );
      await expect(call()).rejects.toThrow(`answered with status ${status}`);
    }
    expect(other.connections).toBe(0);
    await other[Symbol.asyncDispose]();
  });

  it.each([
    ['another nonce', (): string => `HTTP/1.1 200 OK\r\n\r\n${'A'.repeat(43)}=`],
    ['nothing', (): string => 'HTTP/1.1 200 OK\r\n\r\n'],
    ['the nonce and more', (): string => `HTTP/1.1 200 OK\r\n\r\n${nonce} x`],
    ['the nonce with an error', (): string => `HTTP/1.1 404 Not Found\r\n\r\n${nonce}`],
    ['an answer without end', (): string => `HTTP/1.1 200 OK\r\n\r\n${nonce}${' '.repeat(100)}`],
    ['a long head', (): string => `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}\r\n\r\n${nonce}`],
    ['no HTTP', (): string => nonce],
  ])('refuses a node that answers with %s', async (_name, answer) => {
    endpoint.script = (socket) => socket.end(answer());
    await expect(call()).rejects.toMatchObject({
      ...{
        reason: 'permission_denied',
        message: expect.stringContaining('challenge verification failed') as string,
      },
    });
  });

  it('waits no longer than it must for a node that is slow or silent, byte by byte or altogether', async () => {
    endpoint.script = () => undefined;
    await expect(call()).rejects.toThrow(/no answer within 1000 ms/);
    endpoint.script = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const timer = setInterval(() => socket.write(' '), 100);
      socket.on('close', () => {
        clearInterval(timer);
      });
    };
    await expect(call()).rejects.toThrow(/no answer within 1000 ms/);
  });
});
