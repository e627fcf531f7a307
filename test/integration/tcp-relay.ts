/** Another address of a server: a TCP port whose connections lead to the server's, until it is cut off. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpRelay implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #accepted = 0;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      this.#accepted += 1;
      const beyond = connect(targetPort, '127.0.0.1');
      for (const [end, other] of [
        [socket, beyond],
        [beyond, socket],
      ] as const) {
        this.#sockets.add(end);
        end.on('error', () => other.destroy());
        end.on('close', () => {
          this.#sockets.delete(end);
          other.destroy();
        });
        end.pipe(other);
      }
    });
  }

  static async start(targetPort: number): Promise<TcpRelay> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpRelay(server, targetPort);
  }

  /** Connections so far. */
  get accepted(): number {
    return this.#accepted;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** As when the machine behind it dies: what is open breaks, and nobody answers any more. */
  cut(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    return Promise.resolve();
  }
}
