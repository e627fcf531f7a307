/** A TCP link that a test can break: refuse, cut, freeze in one direction or both, slow down, heal. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { findFreePort } from './free-port.js';
import { FaultFlow, type FlowState } from './fault-flow.js';

export type Direction = 'to_target' | 'to_client';

export interface LinkSpeed {
  /** How much later each byte arrives. */
  readonly delayMs?: number;
  /** In each direction of each connection. */
  readonly bytesPerSecond?: number;
}

const HOST = '127.0.0.1';
const MOST_CONNECTIONS = 1000;
const LISTEN_ATTEMPTS = 10;

interface Link {
  readonly ends: readonly Socket[];
  readonly flows: readonly FaultFlow[];
}

/**
 * @example
 * await using link = await FaultProxy.start(postgres.port);
 * link.freeze(); // half-open: connections stay, nothing passes
 * await link.heal(); // what was held back arrives, as TCP would send it again
 */
export class FaultProxy implements AsyncDisposable {
  readonly port: number;
  readonly #targetPort: number;
  readonly #links = new Set<Link>();
  readonly #states: Record<Direction, FlowState> = { to_target: {}, to_client: {} };
  #listener: Server | undefined;
  #accepted = 0;

  private constructor(port: number, targetPort: number) {
    this.port = port;
    this.#targetPort = targetPort;
  }

  static async start(targetPort: number): Promise<FaultProxy> {
    for (let attempt = 1; ; attempt += 1) {
      const proxy = new FaultProxy(await findFreePort(), targetPort);
      try {
        await proxy.#listen();
        return proxy;
      } catch (error) {
        if (attempt === LISTEN_ATTEMPTS) throw error;
      }
    }
  }

  /** Connections so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#links.size;
  }

  /** As when nobody listens any more; what is open goes on. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  /** Resets every connection. New ones are accepted unless refused. */
  cut(): void {
    for (const { ends } of this.#links) for (const end of ends) end.resetAndDestroy();
  }

  /** Connections stay and new ones are accepted, but nothing passes; in both directions unless told. Bytes are held back, not lost. */
  freeze(...directions: readonly Direction[]): void {
    for (const direction of directions.length === 0 ? (['to_target', 'to_client'] as const) : directions)
      this.#change(direction, { ...this.#states[direction], isFrozen: true });
  }

  slow(speed: LinkSpeed): void {
    for (const direction of ['to_target', 'to_client'] as const) this.#change(direction, speed);
  }

  /** Everything passes again at full speed, and new connections are accepted. */
  async heal(): Promise<void> {
    for (const direction of ['to_target', 'to_client'] as const) this.#change(direction, {});
    if (this.#listener === undefined) await this.#listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse();
    for (const { ends } of this.#links) for (const end of ends) end.destroy();
    await Promise.resolve();
  }

  async #listen(): Promise<void> {
    const listener = createServer({ allowHalfOpen: true }, (socket) => {
      this.#accept(socket);
    });
    listener.maxConnections = MOST_CONNECTIONS;
    listener.listen({ host: HOST, port: this.port, exclusive: true });
    await once(listener, 'listening');
    this.#listener = listener;
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    const target = connect({ host: HOST, port: this.#targetPort, allowHalfOpen: true });
    const link: Link = {
      ends: [client, target],
      flows: [
        new FaultFlow(client, target, this.#states.to_target),
        new FaultFlow(target, client, this.#states.to_client),
      ],
    };
    this.#links.add(link);
    for (const [end, other] of [
      [client, target],
      [target, client],
    ] as const) {
      end.setNoDelay();
      end.on('error', () => other.resetAndDestroy());
      end.on('close', () => {
        this.#links.delete(link);
        other.destroy();
      });
    }
  }

  #change(direction: Direction, state: FlowState): void {
    this.#states[direction] = state;
    for (const { flows } of this.#links) flows[direction === 'to_target' ? 0 : 1]?.change(state);
  }
}
