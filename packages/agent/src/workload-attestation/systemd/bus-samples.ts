/** A systemd for tests: it answers what the attestor asks, on a real message bus or in place of one. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import {
  DBUS_PREFIX_BYTES,
  dbusMessageLength,
  decodeDbusMessage,
  encodeDbusMessage,
  type DbusMessage,
} from './dbus-message.js';

/** Properties of each unit, by its name. */
export type Units = ReadonlyMap<string, Readonly<Record<string, string>>>;

const PATH_PREFIX = '/org/freedesktop/systemd1/unit/';

/** Takes the name of systemd on the bus at this path. @returns what ends it. */
export async function serveOnBus(path: string, units: Units): Promise<{ close: () => void }> {
  const socket = connect({ path });
  await once(socket, 'connect');
  const uid = Buffer.from(String(process.geteuid?.() ?? 0)).toString('hex');
  socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
  const [line] = (await once(socket, 'data')) as [Buffer];
  if (!line.toString().startsWith('OK ')) throw new Error(`the bus says ${line.toString()}`);
  socket.write('BEGIN\r\n');
  const bus = {
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
  };
  socket.write(
    encodeDbusMessage({ type: 'method_call', serial: 1, fields: { ...bus, member: 'Hello' }, body: [] }),
  );
  const named = new Promise<void>((resolve) => {
    readMessages(socket, (message) => {
      if (
        message.type === 'signal' &&
        message.fields.member === 'NameAcquired' &&
        message.body[0] === 'org.freedesktop.systemd1'
      )
        resolve();
      if (message.type === 'method_call') socket.write(answer(message, units));
    });
  });
  socket.write(requestName('org.freedesktop.systemd1'));
  await named;
  return { close: () => socket.destroy() };
}

/** A socket that behaves as the bus does for one client at a time. @param speak answers a call, or does what a bus must not. */
export async function serveInPlaceOfBus(
  path: string,
  speak: (message: DbusMessage, socket: Socket) => void,
  greeting = `OK ${'0123456789abcdef'.repeat(2)}\r\n`,
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(greeting);
      socket.once('data', (bytes) => {
        const rest = bytes.subarray('BEGIN\r\n'.length);
        readMessages(
          socket,
          (message) => {
            if (message.fields.member === 'Hello') {
              socket.write(reply(message, ['s', ':1.7']));
            } else {
              speak(message, socket);
            }
          },
          rest,
        );
      });
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

export function answer(message: DbusMessage, units: Units): Buffer {
  const { member, path } = message.fields;
  if (member === 'GetUnit') {
    const unit = message.body[0] ?? '';
    return units.has(unit)
      ? reply(message, ['o', PATH_PREFIX + Buffer.from(unit).toString('hex')])
      : refuse(message, `Unit ${unit} not loaded.`);
  }
  const unit = Buffer.from(String(path).slice(PATH_PREFIX.length), 'hex').toString();
  const value = units.get(unit)?.[message.body[1] ?? ''];
  return value === undefined ? refuse(message, 'no such property') : reply(message, ['v', value]);
}

export function reply(
  { serial, fields }: DbusMessage,
  [signature, value]: readonly [string, string],
): Buffer {
  return encodeDbusMessage({
    type: 'method_return',
    serial: 1000 + serial,
    fields: {
      replySerial: serial,
      signature,
      ...(fields.sender === undefined ? {} : { destination: fields.sender }),
    },
    body: [value],
  });
}

function refuse({ serial, fields }: DbusMessage, words: string): Buffer {
  return encodeDbusMessage({
    type: 'error',
    serial: 1000 + serial,
    fields: {
      errorName: 'org.freedesktop.systemd1.NoSuchUnit',
      replySerial: serial,
      signature: 's',
      ...(fields.sender === undefined ? {} : { destination: fields.sender }),
    },
    body: [words],
  });
}

function requestName(name: string): Buffer {
  const fields = {
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
    member: 'RequestName',
    signature: 'su',
  };
  // The number (no flags) is aligned, because the string ends on whatever boundary.
  const withoutFlags = encodeDbusMessage({ type: 'method_call', serial: 2, fields, body: [name] });
  const stringLength = 4 + Buffer.byteLength(name) + 1;
  const padding = (4 - (stringLength % 4)) % 4;
  const message = Buffer.concat([withoutFlags, Buffer.alloc(padding + 4)]);
  message.writeUInt32LE(stringLength + padding + 4, 4);
  return message;
}

function readMessages(
  socket: Socket,
  onMessage: (message: DbusMessage) => void,
  first: Buffer = Buffer.alloc(0),
): void {
  let received = first;
  const take = (): void => {
    while (received.length >= DBUS_PREFIX_BYTES) {
      const length = dbusMessageLength(received);
      if (received.length < length) return;
      const message = decodeDbusMessage(received.subarray(0, length));
      received = received.subarray(length);
      if (message !== undefined) onMessage(message);
    }
  };
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    take();
  });
  take();
}
