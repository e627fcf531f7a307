/** Reads a protobuf message field by field, strictly: what SPIRE keeps in blobs of its database is not on any wire of ours. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/** Of `encoding` of the protobuf documentation; groups are refused. */
const WIRE_TYPE = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;
const LONGEST_VARINT_BYTES = 10;
const MOST_FIELDS = 100_000;
const LARGEST_FIELD_NUMBER = 2 ** 29 - 1;

type FieldValue = bigint | Buffer;

/** The fields of one message; those nobody asks for are passed over, as a reader of protobuf must. */
export class ProtobufFields {
  readonly #what: string;
  readonly #fields: ReadonlyMap<number, readonly FieldValue[]>;

  /** @throws BonafideError `invalid_argument` when the bytes are not one whole message. */
  constructor(bytes: Uint8Array, what: string) {
    this.#what = what;
    this.#fields = readFields(Buffer.from(bytes), what);
  }

  /** The last one wins, as in protobuf. */
  text(number: number): string {
    const bytes = this.#last(number, 'text');
    if (bytes === undefined) return '';
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (cause) {
      throw invalidArgument(`${this.#what}: field ${number} is not UTF-8`, cause);
    }
  }

  bytes(number: number): Buffer {
    return this.#last(number, 'bytes') ?? Buffer.alloc(0);
  }

  allBytes(number: number): readonly Buffer[] {
    return this.#values(number).map((value) => this.#asBytes(number, value, 'bytes'));
  }

  messages(number: number, what: string): readonly ProtobufFields[] {
    return this.#values(number).map(
      (value) => new ProtobufFields(this.#asBytes(number, value, 'a message'), `${this.#what}: ${what}`),
    );
  }

  flag(number: number): boolean {
    return this.#number(number) !== 0n;
  }

  /** Of int64, uint64 and enums. @throws BonafideError `invalid_argument` for one that is negative or beyond 2^53. */
  count(number: number): number {
    const value = this.#number(number);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw invalidArgument(`${this.#what}: field ${number} is negative or too large`);
    }
    return Number(value);
  }

  #number(number: number): bigint {
    const value = this.#values(number).at(-1) ?? 0n;
    if (typeof value !== 'bigint') throw invalidArgument(`${this.#what}: field ${number} is not a number`);
    return value;
  }

  #last(number: number, kind: string): Buffer | undefined {
    const value = this.#values(number).at(-1);
    return value === undefined ? undefined : this.#asBytes(number, value, kind);
  }

  #values(number: number): readonly FieldValue[] {
    return this.#fields.get(number) ?? [];
  }

  #asBytes(number: number, value: FieldValue, kind: string): Buffer {
    if (typeof value === 'bigint') throw invalidArgument(`${this.#what}: field ${number} is not ${kind}`);
    return value;
  }
}

function readFields(bytes: Buffer, what: string): ReadonlyMap<number, readonly FieldValue[]> {
  const fields = new Map<number, FieldValue[]>();
  let offset = 0;
  let count = 0;
  const cut = (): never => {
    throw invalidArgument(`${what} is cut off or is no protobuf message`);
  };
  const take = (length: number): Buffer => {
    if (length > bytes.length - offset) cut();
    const taken = bytes.subarray(offset, offset + length);
    offset += length;
    return taken;
  };
  const varint = (): bigint => {
    let value = 0n;
    for (let index = 0; index < LONGEST_VARINT_BYTES; index += 1) {
      const [byte = 0] = take(1);
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) return value < 2n ** 64n ? value : cut();
    }
    return cut();
  };
  const readValue = (wireType: number): FieldValue => {
    if (wireType === WIRE_TYPE.varint) return varint();
    if (wireType === WIRE_TYPE.fixed64) return take(8).readBigUInt64LE();
    if (wireType === WIRE_TYPE.fixed32) return BigInt(take(4).readUInt32LE());
    if (wireType !== WIRE_TYPE.lengthDelimited) return cut();
    const length = varint();
    return length > BigInt(bytes.length) ? cut() : take(Number(length));
  };
  while (offset < bytes.length) {
    if ((count += 1) > MOST_FIELDS) throw invalidArgument(`${what} has more than ${MOST_FIELDS} fields`);
    const key = varint();
    const number = Number(key >> 3n);
    if (number === 0 || number > LARGEST_FIELD_NUMBER) cut();
    const value = readValue(Number(key & 7n));
    const values = fields.get(number);
    if (values === undefined) fields.set(number, [value]);
    else values.push(value);
  }
  return fields;
}
