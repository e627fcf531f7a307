/** The data types of SSH (RFC 4251 section 5), read strictly and written. */
import { invalidArgument, type BonafideError } from '../../errors/bonafide-error.js';

/** Reads from front to back; every method throws BonafideError `invalid_argument` naming the field that is malformed. */
export class SshReader {
  readonly #bytes: Buffer;
  /** What is being read, for messages: `SSH certificate`. */
  readonly #subject: string;
  #offset = 0;

  constructor(bytes: Buffer, subject: string) {
    this.#bytes = bytes;
    this.#subject = subject;
  }

  get offset(): number {
    return this.#offset;
  }

  isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  readBytes(length: number, field: string): Buffer {
    if (length > this.#bytes.length - this.#offset) throw this.malformed(field, 'is cut short');
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  readUint32(field: string): number {
    return this.readBytes(4, field).readUInt32BE();
  }

  readUint64(field: string): bigint {
    return this.readBytes(8, field).readBigUInt64BE();
  }

  readString(field: string): Buffer {
    return this.readBytes(this.readUint32(field), field);
  }

  readText(field: string): string {
    const bytes = this.readString(field);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw this.malformed(field, 'is not UTF-8');
    }
  }

  /** A positive mpint: its magnitude. */
  readPositiveInteger(field: string): Buffer {
    const content = this.readString(field);
    const [first = 0x80, second = 0x80] = content;
    if (first >= 0x80) throw this.malformed(field, 'is not a positive number');
    if (first === 0 && second < 0x80) throw this.malformed(field, 'is a number with a needless leading byte');
    return first === 0 ? content.subarray(1) : content;
  }

  expectEnd(field: string): void {
    if (!this.isAtEnd()) throw this.malformed(field, 'has trailing bytes');
  }

  malformed(field: string, problem: string): BonafideError {
    return invalidArgument(`malformed ${this.#subject}: ${field} ${problem}`);
  }
}

function sshString(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** @param magnitude big-endian, not zero; leading zero bytes are dropped. */
export function sshPositiveInteger(magnitude: Buffer): Buffer {
  const start = magnitude.findIndex((byte) => byte !== 0);
  const content = magnitude.subarray(start);
  return sshString((content[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), content]) : content);
}
