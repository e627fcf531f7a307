/** Messages of D-Bus as bytes (D-Bus Specification, "Message Protocol"): as many of their features as asking for strings needs. */
import { DbusReader, malformed } from './dbus-reader.js';
import { DbusWriter } from './dbus-writer.js';

const TYPES = { method_call: 1, method_return: 2, error: 3, signal: 4 } as const;
type DbusType = keyof typeof TYPES;

const FIELDS = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  sender: 7,
  signature: 8,
} as const;
const FIELD_SIGNATURES = {
  path: 'o',
  interface: 's',
  member: 's',
  errorName: 's',
  replySerial: 'u',
  destination: 's',
  sender: 's',
  signature: 'g',
} as const satisfies Record<keyof typeof FIELDS, string>;
type Field = keyof typeof FIELDS;

export interface DbusMessage {
  readonly type: DbusType;
  readonly serial: number;
  readonly fields: Readonly<Partial<Record<Field, string | number>>>;
  /** Strings and object paths, as the field `signature` has them; a variant that holds one counts as one. */
  readonly body: readonly string[];
}

/** As far as the two lengths stand in a message. */
export const DBUS_PREFIX_BYTES = 16;
/** A unit's names and paths are far shorter. */
const LONGEST_MESSAGE = 64 * 1024;
const LITTLE_ENDIAN = 'l'.charCodeAt(0);
const BIG_ENDIAN = 'B'.charCodeAt(0);
const PROTOCOL_VERSION = 1;

/** @param message whose body is as its signature says, of `s` and `o` and `v` (a variant of a string). */
export function encodeDbusMessage({ type, serial, fields, body }: DbusMessage): Buffer {
  const content = new DbusWriter();
  const signature = String(fields.signature ?? '');
  body.forEach((value, index) => {
    if (signature[index] === 'v') content.signature('s');
    content.string(value);
  });
  const header = new DbusWriter();
  for (const [name, value] of Object.entries(fields) as [Field, string | number][]) {
    header.align(8).byte(FIELDS[name]).signature(FIELD_SIGNATURES[name]);
    if (typeof value === 'number') header.uint32(value);
    else if (name === 'signature') header.signature(value);
    else header.string(value);
  }
  return new DbusWriter()
    .byte(LITTLE_ENDIAN)
    .byte(TYPES[type])
    .byte(0)
    .byte(PROTOCOL_VERSION)
    .uint32(content.length)
    .uint32(serial)
    .uint32(header.length)
    .raw(header.bytes)
    .align(8)
    .raw(content.bytes).bytes;
}

/**
 * How long the message is that begins with these bytes.
 * @param prefix at least `DBUS_PREFIX_BYTES`.
 * @throws BonafideError `unavailable` when it is longer than any that is expected, or no message.
 */
export function dbusMessageLength(prefix: Buffer): number {
  const reader = new DbusReader(prefix.subarray(0, DBUS_PREFIX_BYTES), isLittleEndian(prefix), 4);
  const bodyLength = reader.uint32();
  reader.uint32();
  const length = DBUS_PREFIX_BYTES + Math.ceil(reader.uint32() / 8) * 8 + bodyLength;
  if (length > LONGEST_MESSAGE)
    throw malformed(`has ${length} bytes, which is more than any that is expected`);
  return length;
}

/**
 * @param bytes exactly one message.
 * @returns undefined for one whose type or content is not of interest, such as a signal that carries a number.
 * @throws BonafideError `unavailable`
 */
export function decodeDbusMessage(bytes: Buffer): DbusMessage | undefined {
  const littleEndian = isLittleEndian(bytes);
  const reader = new DbusReader(bytes, littleEndian, 1);
  const typeCode = reader.byte();
  reader.byte(); // flags
  if (reader.byte() !== PROTOCOL_VERSION) throw malformed('is of another version of the protocol');
  reader.uint32();
  const serial = reader.uint32();
  const end = reader.uint32() + DBUS_PREFIX_BYTES;
  const fields: Partial<Record<Field, string | number>> = {};
  while (reader.offset < end) {
    reader.align(8);
    const code = reader.byte();
    const name = (Object.keys(FIELDS) as Field[]).find((each) => FIELDS[each] === code);
    const signature = reader.signature();
    // A field that is unknown is to be ignored, and which type it has is not known: none is expected to be anything else.
    const isKnown = name !== undefined && signature === FIELD_SIGNATURES[name];
    if (name !== undefined && !isKnown) throw malformed('has a header field of another type');
    const value = readBasic(reader, signature);
    if (name !== undefined) fields[name] = value;
  }
  if (reader.offset !== end) throw malformed('has a header that ends elsewhere');
  reader.align(8);
  const type = (Object.keys(TYPES) as DbusType[]).find((each) => TYPES[each] === typeCode);
  const signature = fields.signature ?? '';
  if (type === undefined || typeof signature !== 'string' || !/^[sov]{0,8}$/.test(signature))
    return undefined;
  const body = readBody(new DbusReader(bytes.subarray(reader.offset), littleEndian), signature);
  return body === undefined ? undefined : { type, serial, fields, body };
}

function readBasic(reader: DbusReader, signature: string): string | number {
  if (signature === 's' || signature === 'o') return reader.string();
  if (signature === 'g') return reader.signature();
  if (signature === 'u') return reader.uint32();
  throw malformed('has a header field of an unknown type');
}

/** @returns undefined when a variant holds something else than a string. */
function readBody(reader: DbusReader, signature: string): readonly string[] | undefined {
  const values: string[] = [];
  for (const kind of signature) {
    if (kind === 'v' && !['s', 'o'].includes(reader.signature())) return undefined;
    values.push(reader.string());
  }
  if (!reader.isAtEnd) throw malformed('has something after its end');
  return values;
}

function isLittleEndian(bytes: Buffer): boolean {
  const order = bytes[0];
  if (order !== LITTLE_ENDIAN && order !== BIG_ENDIAN) throw malformed('has no byte order');
  return order === LITTLE_ENDIAN;
}
