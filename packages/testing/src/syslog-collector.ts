/** Takes syslog messages over a stream, counted in octets (RFC 6587 section 3.4.1), and can go away and come back. */
import { once } from 'node:events';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { TestParty } from './test-party.js';
import { waitFor } from './wait-for.js';

const LIMIT_MS = 60_000;

/**
 * @example
 * await using collector = await SyslogCollector.listen({ path: directory.join('log.sock') });
 * const [message] = await collector.messages(1);
 */
export class SyslogCollector implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #taken: Buffer = Buffer.alloc(0);

  private constructor(identity: TestParty | undefined) {
    const take = (socket: Socket): void => {
      this.#sockets.add(socket);
      socket.on('data', (data: Buffer) => (this.#taken = Buffer.concat([this.#taken, data])));
      socket.on('error', () => undefined);
    };
    this.#server = identity === undefined ? createServer(take) : createTlsServer(tlsOptions(identity), take);
    this.#server.on('tlsClientError', () => undefined);
  }

  /** @param identity over TLS, as this one. */
  static async listen(at: ListenOptions, identity?: TestParty): Promise<SyslogCollector> {
    const collector = new SyslogCollector(identity);
    collector.#server.listen(at);
    await once(collector.#server, 'listening');
    return collector;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Those that have come whole. */
  get received(): readonly string[] {
    const messages: string[] = [];
    for (let rest = this.#taken; rest.length > 0;) {
      const space = rest.indexOf(' ');
      const end = space + 1 + Number(rest.subarray(0, space).toString());
      if (space === -1 || rest.length < end) break;
      messages.push(rest.subarray(space + 1, end).toString());
      rest = rest.subarray(end);
    }
    return messages;
  }

  /** Waits until there are as many. */
  messages(count: number): Promise<readonly string[]> {
    return waitFor(
      `${count} syslog messages`,
      () => (this.received.length >= count ? this.received : undefined),
      {
        limitMs: LIMIT_MS,
      },
    );
  }

  /** Ends the connections, and goes on listening. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.disconnect();
    await closed;
  }
}

function tlsOptions({ privateKey, certificate }: TestParty): { readonly key: string; readonly cert: string } {
  return {
    key: encodePem('PRIVATE KEY', exportPkcs8(privateKey)),
    cert: encodePem('CERTIFICATE', certificate),
  };
}
