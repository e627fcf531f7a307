/** Reads what firmware and the kernel write, little endian, never past the end (TCG PC Client Platform Firmware Profile, section 10). */
import { invalidArgument } from '../../../errors/bonafide-error.js';

export class LittleEndianReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #position = 0;

  /** @param what names the thing that is read, for the message of a refusal */
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  /** A view, not a copy: the caller keeps the whole alive for as long as it keeps the part. */
  bytes(length: number): Buffer {
    if (length > this.remaining) {
      throw invalidArgument(
        `${this.#what} ends too early: ${length} bytes expected at ${this.#position}, ${this.remaining} left`,
      );
    }
    const part = this.#bytes.subarray(this.#position, this.#position + length);
    this.#position += length;
    return part;
  }

  uint8(): number {
    return this.bytes(1).readUInt8();
  }

  uint16(): number {
    return this.bytes(2).readUInt16LE();
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE();
  }

  /** A 64-bit length that must be at most `maximum`, which a number holds. */
  length64(maximum: number): number {
    const length = this.bytes(8).readBigUInt64LE();
    if (length > BigInt(maximum)) {
      throw invalidArgument(
        `${this.#what} has a length of ${length.toString()}: expected at most ${maximum}`,
      );
    }
    return Number(length);
  }

  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  expectEnd(): void {
    if (!this.isAtEnd) {
      throw invalidArgument(`${this.#what} has ${this.remaining} bytes too many`);
    }
  }
}
