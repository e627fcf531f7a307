/** Numbers, bytes and text one after the other in one piece of memory, which changes threads without being copied. */

const NUMBER_BYTES = 8;
const LENGTH_BYTES = 4;

/** What a piece of `length` bytes takes. */
export function packedSize(length: number): number {
  return LENGTH_BYTES + length;
}

export const PACKED_NUMBER_SIZE = NUMBER_BYTES;

export class PackedWriter {
  /** Memory of its own, not a part of Node's pool: it is handed over whole. */
  readonly bytes: Buffer;
  #offset = 0;

  constructor(size: number) {
    this.bytes = Buffer.from(new ArrayBuffer(size));
  }

  /** Any number, NaN and infinity included. */
  number(value: number): void {
    this.#offset = this.bytes.writeDoubleLE(value, this.#offset);
  }

  piece(piece: Uint8Array): void {
    this.#offset = this.bytes.writeUInt32LE(piece.length, this.#offset);
    this.bytes.set(piece, this.#offset);
    this.#offset += piece.length;
  }

  text(text: string): void {
    const start = this.#offset + LENGTH_BYTES;
    const length = this.bytes.write(text, start, 'utf8');
    this.bytes.writeUInt32LE(length, this.#offset);
    this.#offset = start + length;
  }
}

/** @throws RangeError past the end. */
export class PackedReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  number(): number {
    const value = this.#bytes.readDoubleLE(this.#offset);
    this.#offset += NUMBER_BYTES;
    return value;
  }

  /** Not a copy. */
  piece(): Buffer {
    const end = this.#endOfPiece();
    const piece = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return piece;
  }

  text(): string {
    const end = this.#endOfPiece();
    const text = this.#bytes.toString('utf8', this.#offset, end);
    this.#offset = end;
    return text;
  }

  #endOfPiece(): number {
    const length = this.#bytes.readUInt32LE(this.#offset);
    this.#offset += LENGTH_BYTES;
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new RangeError('the packed bytes end within a piece');
    return end;
  }
}
