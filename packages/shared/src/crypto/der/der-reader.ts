/** A strict DER reader (X.690 section 10): exact tags, shortest lengths, no indefinite form, nothing left over. */
import { invalidArgument, type BonafideError } from '../../errors/bonafide-error.js';
import { DER_TAG } from './der-tag.js';

/**
 * Walks the elements of one buffer from front to back. Every Buffer it returns is a view of the same memory.
 * Every method throws BonafideError `invalid_argument` naming the field that is malformed.
 */
export class DerReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  /** What is being read, for messages: `CSR`, `certificate`. */
  readonly #subject: string;
  #offset: number;
  /** Where the content of the element just read begins. */
  #contentStart = 0;

  constructor(bytes: Buffer, subject: string, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#subject = subject;
    this.#offset = start;
    this.#end = end;
  }

  isAtEnd(): boolean {
    return this.#offset === this.#end;
  }

  /** The tag of the next element; undefined at the end. */
  nextTag(): number | undefined {
    return this.#offset < this.#end ? this.#bytes[this.#offset] : undefined;
  }

  /** The next element with its tag and length. */
  readElement(tag: number, field: string): Buffer {
    const start = this.#offset;
    this.#advance(tag, field);
    return this.#bytes.subarray(start, this.#offset);
  }

  readContent(tag: number, field: string): Buffer {
    this.#advance(tag, field);
    return this.#bytes.subarray(this.#contentStart, this.#offset);
  }

  /** A reader over the content of the next element. */
  enter(tag: number, field: string): DerReader {
    this.#advance(tag, field);
    return new DerReader(this.#bytes, this.#subject, this.#contentStart, this.#offset);
  }

  /** The next element, whatever its tag. */
  readAny(field: string): Buffer {
    return this.readElement(this.nextTag() ?? DER_TAG.null, field);
  }

  /** Two's complement, big-endian, no needless leading byte. */
  readInteger(field: string): Buffer {
    const content = this.readContent(DER_TAG.integer, field);
    const [first, second] = content;
    if (first === undefined) throw this.malformed(field, 'is an empty integer');
    if (
      second !== undefined &&
      ((first === 0x00 && (second & 0x80) === 0) || (first === 0xff && (second & 0x80) !== 0))
    ) {
      throw this.malformed(field, 'is an integer with a needless leading byte');
    }
    return content;
  }

  /** A non-negative integer of at most four bytes. */
  readSmallInteger(field: string): number {
    const content = this.readInteger(field);
    if (content.length > 4 || ((content[0] ?? 0) & 0x80) !== 0) {
      throw this.malformed(field, 'is out of range');
    }
    return content.readUIntBE(0, content.length);
  }

  readBoolean(field: string): boolean {
    const content = this.readContent(DER_TAG.boolean, field);
    if (content.length !== 1 || (content[0] !== 0x00 && content[0] !== 0xff)) {
      throw this.malformed(field, 'is not a boolean');
    }
    return content[0] === 0xff;
  }

  /** A bit string that fills whole bytes, as keys and signatures do. */
  readBitString(field: string): Buffer {
    const content = this.readContent(DER_TAG.bitString, field);
    if (content.length === 0 || content[0] !== 0)
      throw this.malformed(field, 'is not a bit string of whole bytes');
    return content.subarray(1);
  }

  /** The content octets of an object identifier as lower-case hex: how `object-identifier.ts` names them. */
  readObjectIdentifier(field: string): string {
    const content = this.readContent(DER_TAG.objectIdentifier, field);
    if (content.length === 0 || content.length > 64 || ((content[content.length - 1] ?? 0) & 0x80) !== 0) {
      throw this.malformed(field, 'is not an object identifier');
    }
    return content.toString('hex');
  }

  /** A string of seven-bit characters. */
  readAscii(tag: number, field: string): string {
    const content = this.readContent(tag, field);
    for (const byte of content)
      if (byte > 0x7e || byte < 0x20) throw this.malformed(field, 'has a non-ASCII character');
    return content.toString('latin1');
  }

  /** UTCTime or GeneralizedTime in UTC with seconds (RFC 5280 section 4.1.2.5). */
  readTime(field: string): Date {
    const isGeneralized = this.nextTag() === DER_TAG.generalizedTime;
    const content = this.readContent(isGeneralized ? DER_TAG.generalizedTime : DER_TAG.utcTime, field);
    const yearDigits = isGeneralized ? 4 : 2;
    if (content.length !== yearDigits + 11 || content[yearDigits + 10] !== 0x5a) {
      throw this.malformed(field, 'is not a UTC time with seconds');
    }
    const number = (start: number, digits: number): number => {
      let value = 0;
      for (let index = start; index < start + digits; index += 1) {
        const digit = (content[index] ?? 0) - 0x30;
        if (digit < 0 || digit > 9) throw this.malformed(field, 'is not a UTC time with seconds');
        value = value * 10 + digit;
      }
      return value;
    };
    const shortYear = number(0, yearDigits);
    const year = isGeneralized ? shortYear : shortYear + (shortYear < 50 ? 2000 : 1900);
    const month = number(yearDigits, 2);
    const day = number(yearDigits + 2, 2);
    const hour = number(yearDigits + 4, 2);
    const minute = number(yearDigits + 6, 2);
    const second = number(yearDigits + 8, 2);
    const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
    // Date.UTC carries a 30 February over into March, and takes years below 100 for 19xx.
    const isDate =
      time.getUTCMonth() === month - 1 &&
      time.getUTCDate() === day &&
      hour < 24 &&
      minute < 60 &&
      second < 60;
    if (!isDate || year < 1000) throw this.malformed(field, 'is not a date');
    return time;
  }

  /** @throws BonafideError `invalid_argument` when bytes are left. */
  expectEnd(field: string): void {
    if (!this.isAtEnd()) throw this.malformed(field, 'has trailing bytes');
  }

  malformed(field: string, problem: string): BonafideError {
    return invalidArgument(`malformed ${this.#subject}: ${field} ${problem}`);
  }

  #advance(tag: number, field: string): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let offset = this.#offset;
    if (offset + 2 > end) throw this.malformed(field, 'is missing');
    // Tag numbers above 30 take more bytes; none of our structures has them.
    if (bytes[offset] !== tag || (tag & 0x1f) === 0x1f) throw this.malformed(field, 'has an unexpected type');
    let length = bytes[offset + 1] ?? 0;
    offset += 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count < 1 || count > 3 || offset + count > end) throw this.malformed(field, 'has a bad length');
      length = bytes.readUIntBE(offset, count);
      offset += count;
      if (length < 0x80 || length < 2 ** (8 * (count - 1)))
        throw this.malformed(field, 'has a non-minimal length');
    }
    if (offset + length > end) throw this.malformed(field, 'is cut short');
    this.#contentStart = offset;
    this.#offset = offset + length;
  }
}

/** The content of a buffer that is exactly one element with `tag`. */
export function enterOnly(bytes: Buffer, tag: number, subject: string): DerReader {
  const reader = new DerReader(bytes, subject);
  const content = reader.enter(tag, subject);
  reader.expectEnd(subject);
  return content;
}
