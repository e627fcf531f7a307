/** Checks of decoded fields; every failure is `invalid_argument` and begins with the name of the field. */
import { BonafideError, invalidArgument } from '../../errors/bonafide-error.js';
import { dateFromUnixSeconds } from '../../runtime/clock.js';

/** Runs `parse` so that its refusal names the field. */
export function inField<T>(field: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof BonafideError && error.reason === 'invalid_argument') {
      throw invalidArgument(`${field}: ${error.message}`, error.cause);
    }
    throw error;
  }
}

export function listFromProto<Item, T>(
  field: string,
  items: readonly Item[],
  maximum: number,
  parse: (item: Item) => T,
): readonly T[] {
  if (items.length > maximum) {
    throw invalidArgument(`${field}: ${items.length} are too many; at most ${maximum} are accepted`);
  }
  return items.map((item, index) => inField(`${field}[${index}]`, () => parse(item)));
}

export function requireField<T>(field: string, value: T | null | undefined): T {
  if (value === null || value === undefined) throw invalidArgument(`${field}: is missing`);
  return value;
}

export function textFromProto(field: string, text: string, maximumBytes: number): string {
  if (Buffer.byteLength(text) > maximumBytes) {
    throw invalidArgument(`${field}: is longer than ${maximumBytes} bytes`);
  }
  return text;
}

export function bytesFromProto(field: string, bytes: Buffer, maximumBytes: number): Buffer {
  if (bytes.length === 0) throw invalidArgument(`${field}: is empty`);
  if (bytes.length > maximumBytes) throw invalidArgument(`${field}: is longer than ${maximumBytes} bytes`);
  return bytes;
}

/** 64-bit numbers arrive as doubles; beyond 2^53 they would silently be other numbers. */
export function countFromProto(field: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw invalidArgument(`${field}: is out of range; expected 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  return value;
}

/** Undefined for 0, which means "not there" for every duration and time of these messages. */
export function secondsFromProto(field: string, seconds: number): number | undefined {
  return countFromProto(field, seconds) === 0 ? undefined : seconds;
}

/** The last second that a Date can hold. */
const LATEST_UNIX_SECONDS = 8_640_000_000_000;

export function dateFromProto(field: string, unixSeconds: number): Date | undefined {
  const seconds = secondsFromProto(field, unixSeconds);
  if (seconds === undefined) return undefined;
  if (seconds > LATEST_UNIX_SECONDS) throw invalidArgument(`${field}: is later than any date`);
  return dateFromUnixSeconds(seconds);
}

/** An unknown value decodes to its number, whatever the generated type says. */
export function enumFromProto<T>(
  field: string,
  value: string | number,
  known: Readonly<Record<string, T>>,
): T {
  const found = typeof value === 'string' && Object.hasOwn(known, value) ? known[value] : undefined;
  if (found === undefined) {
    throw invalidArgument(
      `${field}: ${value} is not known; expected one of ${Object.keys(known).join(', ')}`,
    );
  }
  return found;
}
