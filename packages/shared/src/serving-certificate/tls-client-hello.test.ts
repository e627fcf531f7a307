import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAcmeValidation } from './tls-client-hello.js';

/** The first bytes of a real client. */
async function clientHello(protocols: string[]): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const client = connect({
    port: (server.address() as AddressInfo).port,
    ALPNProtocols: protocols,
    servername: 'a.example',
  });
  client.on('error', () => undefined); // nobody answers it
  const [socket] = (await accepted) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

describe('isAcmeValidation', () => {
  it('tells a validation from a browser, however the bytes arrive', async () => {
    const [validation, browser] = [await clientHello(['acme-tls/1']), await clientHello(['h2', 'http/1.1'])];
    expect(isAcmeValidation(validation)).toBe(true);
    expect(isAcmeValidation(browser)).toBe(false);
    for (let length = 0; length < validation.length; length += 1) {
      expect(isAcmeValidation(validation.subarray(0, length))).toBeUndefined();
    }
  });

  it('is sure of bytes that are no TLS, and never throws', () => {
    expect(isAcmeValidation(Buffer.from('GET / HTTP/1.1\r\n'))).toBe(false);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect([true, false, undefined]).toContain(isAcmeValidation(Buffer.from(bytes)));
      }),
    );
  });

  it('asks for no more than one record', () => {
    const endless = Buffer.concat([Buffer.from([22, 3, 1, 0xff, 0xff, 1]), Buffer.alloc(17_000)]);
    expect(isAcmeValidation(endless)).toBe(false);
  });
});
