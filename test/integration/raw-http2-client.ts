/** An HTTP/2 client that does what no gRPC library would: malformed frames, messages of any bytes, streams that are never read. */
import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { ClientIdentity } from '@bonafide/shared/rpc/mutual-tls-channel';

export interface RawStatus {
  /** Undefined when the stream ended without one. */
  readonly code: number | undefined;
  readonly message: string;
}

/** Past the TLS handshake, not yet HTTP/2; believes any server. */
export async function dialTls(port: number, identity?: ClientIdentity): Promise<TLSSocket> {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
    ...(identity === undefined
      ? {}
      : {
          cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
          key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
        }),
  });
  socket.on('error', () => undefined); // cut by the server; whoever minds looks at `destroyed`
  await once(socket, 'secureConnect');
  return socket;
}

export class RawHttp2Client implements Disposable {
  readonly session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.session = session;
    session.on('error', () => undefined); // as for the socket
  }

  static async connect(port: number, identity?: ClientIdentity): Promise<RawHttp2Client> {
    const socket = await dialTls(port, identity);
    const session = connectHttp2('https://example.org', { createConnection: () => socket });
    return new RawHttp2Client(session);
  }

  /** Opens a stream and reads nothing of it. */
  open(path: string): ClientHttp2Stream {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined); // as for the socket
    return stream;
  }

  /** Sends the bytes as they are as the whole of the request. */
  async send(path: string, body: Buffer): Promise<RawStatus> {
    const stream = this.open(path);
    let status: RawStatus = { code: undefined, message: '' };
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      const code = headers['grpc-status'];
      if (typeof code !== 'string') return;
      const message = headers['grpc-message'];
      status = {
        code: Number(code),
        message: typeof message === 'string' ? decodeURIComponent(message) : '',
      };
    };
    stream.on('response', take).on('trailers', take);
    stream.resume();
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.end(body);
    await closed;
    return status;
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }
}

/** The length-prefixed message of gRPC. */
export function grpcFrame(message: Buffer, statedLength = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(statedLength, 1);
  return Buffer.concat([prefix, message]);
}
