/** Writes DER: each function returns one complete element. */
import { DER_TAG } from './der-tag.js';

/** One element: tag, shortest length, then the parts one after the other. */
export function derElement(tag: number, ...parts: readonly Buffer[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthBytes = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  if (length > 0xffffff) throw new RangeError(`a DER element of ${length} bytes is too long`);
  const bytes = Buffer.allocUnsafe(2 + lengthBytes + length);
  bytes[0] = tag;
  if (lengthBytes === 0) bytes[1] = length;
  else {
    bytes[1] = 0x80 | lengthBytes;
    bytes.writeUIntBE(length, 2, lengthBytes);
  }
  let offset = 2 + lengthBytes;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

export function derSequence(...parts: readonly Buffer[]): Buffer {
  return derElement(DER_TAG.sequence, ...parts);
}

/** @param unsigned big-endian magnitude; leading zero bytes are dropped, a sign byte is added where it is needed. */
export function derUnsignedInteger(unsigned: Buffer): Buffer {
  let start = 0;
  while (start < unsigned.length - 1 && unsigned[start] === 0) start += 1;
  const magnitude = unsigned.subarray(start);
  if (magnitude.length === 0) return derElement(DER_TAG.integer, ZERO);
  return ((magnitude[0] ?? 0) & 0x80) === 0
    ? derElement(DER_TAG.integer, magnitude)
    : derElement(DER_TAG.integer, ZERO, magnitude);
}

/** @param dotted for example `2.5.29.17`. */
export function derObjectIdentifier(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  if (
    first === undefined ||
    second === undefined ||
    [first, second, ...rest].some((arc) => !Number.isSafeInteger(arc))
  ) {
    throw new RangeError(`${dotted} is not an object identifier`);
  }
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return derElement(DER_TAG.objectIdentifier, Buffer.from(bytes));
}

/** A bit string of whole bytes. */
export function derBitString(bytes: Buffer): Buffer {
  return derElement(DER_TAG.bitString, ZERO, bytes);
}

export function derOctetString(bytes: Buffer): Buffer {
  return derElement(DER_TAG.octetString, bytes);
}

/** Seconds of precision; UTCTime until 2049 and GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5). */
export function derTime(time: Date): Buffer {
  const text = time.toISOString();
  // 2006-01-02T15:04:05.999Z
  const rest = `${text.slice(5, 7)}${text.slice(8, 10)}${text.slice(11, 13)}${text.slice(14, 16)}${text.slice(17, 19)}Z`;
  const year = time.getUTCFullYear();
  if (year < 1950 || year > 9999) throw new RangeError(`${text} cannot be written into a certificate`);
  return year < 2050
    ? derElement(DER_TAG.utcTime, Buffer.from(text.slice(2, 4) + rest, 'latin1'))
    : derElement(DER_TAG.generalizedTime, Buffer.from(text.slice(0, 4) + rest, 'latin1'));
}

const ZERO = Buffer.from([0]);
