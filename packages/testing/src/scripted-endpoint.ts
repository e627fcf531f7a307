/** A server that says exactly what a test tells it to, byte for byte, over TLS or not at all: for clients that must survive any endpoint. */
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

/** What becomes of one request, whose head is given as text. */
export type Script = (socket: Socket, request: string) => void;

type Identity = Pick<X509Svid, 'certificateChain' | 'privateKey'>;

/** @example await using endpoint = await ScriptedEndpoint.overTls(svid, (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n')); */
export class ScriptedEndpoint implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** The heads of all requests so far. */
  readonly requests: string[] = [];
  script: Script;
  connections = 0;

  private constructor(server: Server, script: Script) {
    this.#server = server;
    this.script = script;
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => undefined); // the other side hangs up in the middle: that is what is tested
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async overTls(identity: Identity, script: Script): Promise<ScriptedEndpoint> {
    const server = createTlsServer({
      cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
    });
    const endpoint = new ScriptedEndpoint(server, script);
    server.on('secureConnection', (socket: TLSSocket) => {
      endpoint.#read(socket);
    });
    await endpoint.#listen();
    return endpoint;
  }

  /** Without TLS: the script is given each connection's first bytes. */
  static async overTcp(script: Script): Promise<ScriptedEndpoint> {
    const server = createTcpServer();
    const endpoint = new ScriptedEndpoint(server, script);
    server.on('connection', (socket: Socket) => {
      socket.once('data', (bytes: Buffer) => {
        endpoint.script(socket, bytes.toString('latin1'));
      });
    });
    await endpoint.#listen();
    return endpoint;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** By name, because web PKI names hosts. */
  get url(): string {
    return `https://localhost:${this.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #read(socket: TLSSocket): void {
    let head = '';
    socket.on('error', () => undefined);
    const read = (bytes: Buffer): void => {
      head += bytes.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', read);
      this.requests.push(head);
      this.script(socket, head);
    };
    socket.on('data', read);
  }

  #listen(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }
}

/** A script that answers with status 200 and the text. */
export function serveText(text: string, headers: Readonly<Record<string, string>> = {}): Script {
  return (socket) => {
    const head = Object.entries({ 'content-length': String(Buffer.byteLength(text)), ...headers });
    socket.end(
      `HTTP/1.1 200 OK\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`,
    );
  };
}
