/** BER as signers of CMS write it (X.690 section 8.1.3.6): lengths told by an end mark and strings in pieces, brought into the form that `DerReader` reads. */
import { invalidArgument, type BonafideError } from '../../errors/bonafide-error.js';
import { derElement } from './der-writer.js';
import { DER_TAG } from './der-tag.js';

const DEEPEST = 16;
const CONSTRUCTED = 0x20;
const INDEFINITE = 0x80;
const CONSTRUCTED_OCTET_STRING = DER_TAG.octetString | CONSTRUCTED;

/**
 * What is in definite form on the outside passes as it is: it is for the reader to refuse what is not DER in it. The rest is written
 * anew, which leaves every part that was DER as it was, so that signatures over such parts still hold.
 * @throws BonafideError `invalid_argument` for what is cut short, nested too deeply, or followed by something.
 */
export function toDefiniteForm(bytes: Buffer, subject: string): Buffer {
  if (bytes[1] !== INDEFINITE) return bytes;
  const { element, end } = readElement(bytes, { start: 0, limit: bytes.length, depth: 0 }, subject);
  if (end !== bytes.length) throw malformed(subject, 'has trailing bytes');
  return element;
}

interface Place {
  readonly start: number;
  /** No part of the element lies there or behind. */
  readonly limit: number;
  readonly depth: number;
}

function readElement(
  bytes: Buffer,
  { start, limit, depth }: Place,
  subject: string,
): { readonly element: Buffer; readonly end: number } {
  if (depth > DEEPEST) throw malformed(subject, 'is nested too deeply');
  const tag = bytes[start];
  const first = bytes[start + 1];
  if (tag === undefined || first === undefined || start + 2 > limit) throw malformed(subject, 'is cut short');
  if ((tag & 0x1f) === 0x1f || tag === 0) throw malformed(subject, 'has an unexpected type');
  const isConstructed = (tag & CONSTRUCTED) !== 0;
  if (first === INDEFINITE) {
    if (!isConstructed) throw malformed(subject, 'has a value without an end');
    return readUntilEndMark(bytes, { start: start + 2, limit, depth }, tag, subject);
  }
  const count = first < 0x80 ? 0 : first & 0x7f;
  const contentStart = start + 2 + count;
  if (count > 3 || contentStart > limit) throw malformed(subject, 'has a bad length');
  const end = contentStart + (count === 0 ? first : bytes.readUIntBE(start + 2, count));
  if (end > limit) throw malformed(subject, 'is cut short');
  if (!isConstructed) return { element: derElement(tag, bytes.subarray(contentStart, end)), end };
  const parts: Buffer[] = [];
  let next = contentStart;
  while (next < end) {
    const part = readElement(bytes, { start: next, limit: end, depth: depth + 1 }, subject);
    parts.push(part.element);
    next = part.end;
  }
  return { element: join(tag, parts, subject), end };
}

function readUntilEndMark(
  bytes: Buffer,
  { start, limit, depth }: Place,
  tag: number,
  subject: string,
): { readonly element: Buffer; readonly end: number } {
  const parts: Buffer[] = [];
  let next = start;
  while (next + 2 <= limit) {
    if (bytes[next] === 0 && bytes[next + 1] === 0) {
      return { element: join(tag, parts, subject), end: next + 2 };
    }
    const part = readElement(bytes, { start: next, limit, depth: depth + 1 }, subject);
    parts.push(part.element);
    next = part.end;
  }
  throw malformed(subject, 'is cut short');
}

/** An OCTET STRING in pieces becomes one (X.690 section 8.7.3). */
function join(tag: number, parts: readonly Buffer[], subject: string): Buffer {
  if (tag !== CONSTRUCTED_OCTET_STRING) return derElement(tag, ...parts);
  const pieces = parts.map((part) => {
    if (part[0] !== DER_TAG.octetString) throw malformed(subject, 'has a string of mixed pieces');
    const length = part[1] ?? 0;
    return part.subarray(length < 0x80 ? 2 : 2 + (length & 0x7f));
  });
  return derElement(DER_TAG.octetString, ...pieces);
}

function malformed(subject: string, problem: string): BonafideError {
  return invalidArgument(`malformed ${subject}: ${problem}`);
}
