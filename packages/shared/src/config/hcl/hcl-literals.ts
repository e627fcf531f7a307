/** Numbers and quoted texts as HCL writes them, which is as Go does. */
import { HclSyntaxError, type Place } from './hcl-tree.js';

/** Hexadecimal, octal with a leading zero, decimal, or with a fraction. @throws HclSyntaxError */
export function parseHclNumber(text: string, at: Place): number {
  const digits = text.replace('-', '');
  const isOctal = /^0\d+$/.test(digits);
  if (isOctal && !/^[0-7]+$/.test(digits)) {
    throw new HclSyntaxError(at, `${text} is no number: with a leading 0 it is octal`);
  }
  const magnitude = isOctal ? Number.parseInt(digits, 8) : Number(digits);
  if (!Number.isFinite(magnitude) || (/^[0-9a-fA-FxX]+$/.test(digits) && !Number.isSafeInteger(magnitude))) {
    throw new HclSyntaxError(at, `${text} is too large a number`);
  }
  return text.startsWith('-') ? -magnitude : magnitude;
}

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
};

const ESCAPE =
  /\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([^]?))/g;

/** @param inner without the quotes. @throws HclSyntaxError */
export function unquoteHcl(inner: string, at: Place): string {
  return splitReferences(inner)
    .map(({ text, isReference }) => (isReference ? text : unescape(text, at)))
    .join('');
}

function unescape(text: string, at: Place): string {
  return text.replace(ESCAPE, (all, simple?: string, ...codes: readonly (string | undefined)[]) => {
    if (simple !== undefined) return SIMPLE[simple] ?? '';
    const [hex, short, long, octal] = codes;
    const digits = hex ?? short ?? long;
    const code = digits === undefined ? Number.parseInt(octal ?? '', 8) : Number.parseInt(digits, 16);
    const isByte = short === undefined && long === undefined;
    if (Number.isNaN(code) || code > (isByte ? 0x7f : 0x10_ffff) || (code >= 0xd800 && code < 0xe000)) {
      throw new HclSyntaxError(
        at,
        `this text has ${all}, which stands for no letter; write \\\\ for a backslash`,
      );
    }
    return String.fromCodePoint(code);
  });
}

interface Piece {
  readonly text: string;
  readonly isReference: boolean;
}

/** What is between `${` and its `}` stays as it is. */
function splitReferences(inner: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  for (let index = 0; index < inner.length; index += 1) {
    if (inner[index] === '\\') {
      index += 1;
      continue;
    }
    if (inner[index] !== '$' || inner[index + 1] !== '{') continue;
    pieces.push({ text: inner.slice(start, index), isReference: false });
    const end = endOfReference(inner, index);
    pieces.push({ text: inner.slice(index, end), isReference: true });
    start = end;
    index = end - 1;
  }
  return [...pieces, { text: inner.slice(start), isReference: false }];
}

function endOfReference(inner: string, start: number): number {
  let depth = 0;
  for (let index = start + 1; index < inner.length; index += 1) {
    if (inner[index] === '{') depth += 1;
    if (inner[index] === '}') depth -= 1;
    if (depth === 0) return index + 1;
  }
  return inner.length;
}
