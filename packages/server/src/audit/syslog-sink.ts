/** The audit log to syslog: RFC 5424 messages by UDP (RFC 5426), TCP counted in octets (RFC 6587), TLS (RFC 5425), or a Unix stream. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { connect, isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls } from 'node:tls';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SyslogConfig } from './audit-config.js';
import type { AuditLine } from './audit-record.js';
import type { AuditSink } from './audit-sink.js';

const TIMEOUT_MS = 10_000;
const PORTS = { udp: 514, tcp: 601, tls: 6514 } as const;
/** RFC 5426 section 3.2: larger ones need not be taken; they would be lost whole. */
const LARGEST_DATAGRAM_BYTES = 60_000;
/** RFC 5424 section 6.2.1: `notice`, and `warning` for what did not go well. */
const NOTICE = 5;
const WARNING = 4;

export class SyslogSink implements AuditSink {
  readonly name: string;
  readonly usesDatabase = false;
  readonly #config: SyslogConfig;
  readonly #clock: Clock;
  #stream: Socket | undefined;
  #datagrams: DatagramSocket | undefined;

  constructor(config: SyslogConfig, clock: Clock) {
    const { transport, host, port, path } = config;
    this.name = `syslog at ${transport === 'unix' ? (path ?? '') : `${transport}:${host ?? ''}:${port ?? PORTS[transport]}`}`;
    this.#config = config;
    this.#clock = clock;
  }

  room(): undefined {
    return undefined;
  }

  async write(lines: readonly AuditLine[]): Promise<void> {
    if (this.#config.transport === 'udp') {
      for (const line of lines) await this.#send(syslogMessage(line, this.#config.facility));
      return;
    }
    const framed = lines.map((line) => {
      const message = syslogMessage(line, this.#config.facility);
      return Buffer.concat([Buffer.from(`${message.length} `), message]); // RFC 6587 section 3.4.1
    });
    await this.#write(Buffer.concat(framed));
  }

  close(): Promise<void> {
    this.#stream?.end();
    this.#stream = undefined;
    this.#datagrams?.close();
    this.#datagrams = undefined;
    return Promise.resolve();
  }

  /** What the other side has acknowledged nobody knows; that it was taken by the kernel, and the connection stands, is all there is. */
  async #write(data: Buffer): Promise<void> {
    const stream = (this.#stream ??= await this.#connect());
    await within(this.#clock, (resolve, reject) => {
      stream.once('error', reject);
      stream.write(data, (error) => {
        stream.off('error', reject);
        if (error) reject(error);
        else resolve();
      });
    }).catch((error: unknown) => {
      stream.destroy();
      this.#stream = undefined;
      throw error;
    });
  }

  async #connect(): Promise<Socket> {
    const { transport, host = 'localhost', port, path = '', ca_path: caPath } = this.#config;
    const ca = caPath === undefined ? undefined : await readFile(caPath);
    let stream: Socket | undefined;
    try {
      await within(this.#clock, (resolve, reject) => {
        if (transport === 'tls') {
          // An address is no name to ask for (RFC 6066 section 3); it must be in the certificate all the same.
          const name = isIP(host) === 0 ? { servername: host } : {};
          stream = connectTls({ host, port: port ?? PORTS.tls, ca, ...name }, resolve);
        } else {
          stream = transport === 'unix' ? connect(path, resolve) : connect(port ?? PORTS.tcp, host, resolve);
        }
        stream.once('error', reject);
      });
    } catch (error) {
      stream?.destroy();
      throw error;
    }
    const connected: Socket | undefined = stream;
    if (connected === undefined) throw new BonafideError('unavailable', 'there is no connection');
    const forget = (): void => {
      if (this.#stream === connected) this.#stream = undefined;
    };
    connected.on('error', forget);
    connected.on('close', forget);
    connected.resume(); // nothing is expected back, and the end of it must be seen
    connected.unref();
    return connected;
  }

  async #send(message: Buffer): Promise<void> {
    if (message.length > LARGEST_DATAGRAM_BYTES) return; // it would be lost on the way
    const { host = 'localhost', port = PORTS.udp } = this.#config;
    const socket = (this.#datagrams ??= openDatagrams(host));
    await new Promise<void>((resolve, reject) => {
      socket.send(message, port, host, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }
}

/** RFC 5424 section 6; the record is the message, as a file has it. */
function syslogMessage({ time, event, result, text }: AuditLine, facility: number): Buffer {
  const priority = facility * 8 + (result === 'success' ? NOTICE : WARNING);
  const name = printable(hostname(), 255);
  return Buffer.from(
    `<${priority}>1 ${time.toISOString()} ${name} bonafide-server ${process.pid} ${event} - \ufeff${text}`,
  );
}

/** RFC 5424 section 6: PRINTUSASCII; nothing is `-`. */
function printable(text: string, longest: number): string {
  return text.replace(/[^\x21-\x7e]/g, '').slice(0, longest) || '-';
}

function openDatagrams(host: string): DatagramSocket {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => undefined); // whoever sends hears of it
  socket.unref();
  return socket;
}

function within(
  clock: Clock,
  work: (resolve: () => void, reject: (error: unknown) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const limit = clock.schedule(TIMEOUT_MS, () => {
      reject(new BonafideError('unavailable', `it took longer than ${TIMEOUT_MS / 1000} s`));
    });
    const settled =
      (settle: (error?: unknown) => void) =>
      (error?: unknown): void => {
        limit.cancel();
        settle(error);
      };
    work(
      settled(() => {
        resolve();
      }),
      settled(reject),
    );
  });
}
