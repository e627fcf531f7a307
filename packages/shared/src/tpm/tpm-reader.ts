/** Reads the big-endian structures of TPM 2.0 Part 2: bounds checked at every step, nothing may be left over. */
import { invalidArgument, type BonafideError } from '../errors/bonafide-error.js';

/**
 * Walks one buffer from front to back. What it returns is a view of the same memory.
 * Every method throws BonafideError `invalid_argument` naming the field that is malformed.
 */
export class TpmReader {
  readonly #bytes: Buffer;
  /** What is being read, for messages: `TPM public area`. */
  readonly #subject: string;
  #offset = 0;

  constructor(bytes: Buffer, subject: string) {
    this.#bytes = bytes;
    this.#subject = subject;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  readUint8(field: string): number {
    return this.#bytes.readUInt8(this.#advance(1, field));
  }

  readUint16(field: string): number {
    return this.#bytes.readUInt16BE(this.#advance(2, field));
  }

  readUint32(field: string): number {
    return this.#bytes.readUInt32BE(this.#advance(4, field));
  }

  readUint64(field: string): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8, field));
  }

  /** TPMI_YES_NO: 0 or 1, nothing else. */
  readBoolean(field: string): boolean {
    const value = this.readUint8(field);
    if (value > 1) throw this.malformed(field, 'is neither yes nor no');
    return value === 1;
  }

  readBytes(length: number, field: string): Buffer {
    const start = this.#advance(length, field);
    return this.#bytes.subarray(start, start + length);
  }

  /** TPM2B: a size of two bytes and as many bytes. */
  readSized(maximumLength: number, field: string): Buffer {
    const length = this.readUint16(field);
    if (length > maximumLength)
      throw this.malformed(field, `has ${length} bytes, more than ${maximumLength}`);
    return this.readBytes(length, field);
  }

  /** The count of a list, which bounds the loop that reads it. */
  readCount(maximum: number, field: string): number {
    const count = this.readUint32(field);
    if (count > maximum) throw this.malformed(field, `has ${count} elements, more than ${maximum}`);
    return count;
  }

  readRest(): Buffer {
    return this.readBytes(this.remaining, 'rest');
  }

  /** @throws BonafideError `invalid_argument` when bytes are left. */
  expectEnd(): void {
    if (this.remaining !== 0) throw invalidArgument(`${this.#subject}: ${this.remaining} bytes too many`);
  }

  malformed(field: string, problem: string): BonafideError {
    return invalidArgument(`${this.#subject}: ${field} ${problem}`);
  }

  #advance(length: number, field: string): number {
    if (length > this.remaining) throw this.malformed(field, `is cut short at byte ${this.#bytes.length}`);
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}
