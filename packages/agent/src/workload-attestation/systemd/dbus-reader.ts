/** Reads values in the wire format of D-Bus (D-Bus Specification, "Marshaling"): bounds checked at every step. */
import { isUtf8 } from 'node:buffer';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** Every method throws BonafideError `unavailable` for what is malformed: the bus is no bus. */
export class DbusReader {
  readonly #bytes: Buffer;
  readonly #isLittleEndian: boolean;
  #offset: number;

  constructor(bytes: Buffer, isLittleEndian: boolean, offset = 0) {
    this.#bytes = bytes;
    this.#isLittleEndian = isLittleEndian;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  uint32(): number {
    this.align(4);
    const at = this.#advance(4);
    return this.#isLittleEndian ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  /** Also an object path. */
  string(): string {
    return this.#text(this.uint32());
  }

  signature(): string {
    return this.#text(this.byte());
  }

  /** Zeros up to the boundary. */
  align(boundary: number): void {
    while (this.#offset % boundary !== 0)
      if (this.byte() !== 0) throw malformed('has padding that is not zero');
  }

  #text(length: number): string {
    const start = this.#advance(length);
    const bytes = this.#bytes.subarray(start, start + length);
    if (this.byte() !== 0) throw malformed('has a string without an end');
    if (bytes.includes(0) || !isUtf8(bytes)) throw malformed('has a string that is not UTF-8');
    return bytes.toString('utf8');
  }

  #advance(length: number): number {
    const start = this.#offset;
    if (length > this.#bytes.length - start) throw malformed('ends too early');
    this.#offset += length;
    return start;
  }
}

export function malformed(what: string): BonafideError {
  return new BonafideError('unavailable', `a message of D-Bus ${what}`);
}
