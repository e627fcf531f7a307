/** A connection to a message bus over its Unix socket (D-Bus Specification, "Authentication Protocol", "Message Bus"). */
import { connect, type Socket } from 'node:net';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import {
  DBUS_PREFIX_BYTES,
  dbusMessageLength,
  decodeDbusMessage,
  encodeDbusMessage,
  type DbusMessage,
} from './dbus-message.js';

export interface DbusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly arguments: readonly string[];
}

interface Pending {
  readonly resolve: (body: readonly string[]) => void;
  readonly reject: (error: BonafideError) => void;
}

const LONGEST_GREETING = 512;
const MOST_PENDING = 4096;
const BUS = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
};

export class DbusConnection {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #received = Buffer.alloc(0);
  #greeting: Pending | undefined;
  #serial = 0;
  #failure: BonafideError | undefined;

  private constructor(path: string) {
    this.#socket = connect({ path });
    this.#socket.on('data', (bytes) => {
      this.#take(bytes);
    });
    this.#socket.on('error', (error) => {
      this.#fail(
        new BonafideError('unavailable', `cannot talk to D-Bus at ${path}: ${errorMessage(error)}`, {
          cause: error,
        }),
      );
    });
    this.#socket.on('close', () => {
      this.#fail(new BonafideError('unavailable', `D-Bus at ${path} ended the connection`));
    });
    this.#socket.unref();
  }

  /** @throws BonafideError `unavailable` when there is no bus or it does not take us in; `deadline_exceeded` or `cancelled` by the signal. */
  static async open(path: string, signal: AbortSignal): Promise<DbusConnection> {
    const connection = new DbusConnection(path);
    try {
      await connection.#authenticate(signal);
      await connection.call({ ...BUS, member: 'Hello', arguments: [] }, signal);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /**
   * @returns the strings that the answer carries.
   * @throws BonafideError `not_found` when the one who is called says that it cannot, `deadline_exceeded` or `cancelled` by the signal,
   * `unavailable` otherwise.
   */
  async call({ arguments: body, ...call }: DbusCall, signal: AbortSignal): Promise<readonly string[]> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#pending.size >= MOST_PENDING) {
      throw new BonafideError('resource_exhausted', `${MOST_PENDING} calls over D-Bus wait for an answer`);
    }
    this.#serial = (this.#serial % 0x7fff_ffff) + 1;
    const serial = this.#serial;
    const fields = { ...call, ...(body.length === 0 ? {} : { signature: 's'.repeat(body.length) }) };
    try {
      return await answerOf(signal, (pending) => {
        this.#pending.set(serial, pending);
        this.#socket.write(encodeDbusMessage({ type: 'method_call', serial, fields, body }));
      });
    } finally {
      this.#pending.delete(serial);
    }
  }

  close(): void {
    this.#fail(new BonafideError('unavailable', 'the connection to D-Bus is closed'));
  }

  async #authenticate(signal: AbortSignal): Promise<void> {
    const uid = Buffer.from(String(process.geteuid?.() ?? 0)).toString('hex');
    const [line = ''] = await answerOf(signal, (pending) => {
      this.#greeting = pending;
      this.#socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
    if (!/^OK [0-9a-f]{32}$/.test(line)) {
      throw new BonafideError(
        'unavailable',
        `D-Bus does not let the agent in: ${JSON.stringify(line.slice(0, 100))}`,
      );
    }
    this.#socket.write('BEGIN\r\n');
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    try {
      if (this.#greeting !== undefined && !this.#takeGreeting(this.#greeting)) return;
      while (this.#received.length >= DBUS_PREFIX_BYTES) {
        const length = dbusMessageLength(this.#received);
        if (this.#received.length < length) return;
        const message = decodeDbusMessage(this.#received.subarray(0, length));
        this.#received = this.#received.subarray(length);
        if (message !== undefined) this.#answer(message);
      }
    } catch (error) {
      this.#fail(new BonafideError('unavailable', errorMessage(error), { cause: error }));
    }
  }

  #takeGreeting(greeting: Pending): boolean {
    const end = this.#received.indexOf('\r\n');
    if (end < 0 && this.#received.length <= LONGEST_GREETING) return false;
    if (end < 0) throw new BonafideError('unavailable', 'what answers is no D-Bus');
    this.#greeting = undefined;
    greeting.resolve([this.#received.subarray(0, end).toString('latin1')]);
    this.#received = this.#received.subarray(end + 2);
    return true;
  }

  #answer({ type, fields, body }: DbusMessage): void {
    const pending = this.#pending.get(Number(fields.replySerial));
    if (type === 'method_return') pending?.resolve(body);
    if (type === 'error') {
      const words = body[0] ?? String(fields.errorName ?? 'no reason');
      pending?.reject(new BonafideError('not_found', `D-Bus answers: ${words.slice(0, 200)}`));
    }
  }

  #fail(error: BonafideError): void {
    this.#failure ??= error;
    this.#socket.destroy();
    this.#greeting?.reject(error);
    this.#greeting = undefined;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

function answerOf(signal: AbortSignal, ask: (pending: Pending) => void): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(
        hasReason(signal.reason, 'cancelled')
          ? signal.reason
          : new BonafideError('deadline_exceeded', 'D-Bus gave no answer in time', { cause: signal.reason }),
      );
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    const done = (): void => {
      signal.removeEventListener('abort', onAbort);
    };
    ask({
      resolve: (body) => {
        done();
        resolve(body);
      },
      reject: (error) => {
        done();
        reject(error);
      },
    });
  });
}
