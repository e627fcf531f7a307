/** Values of SPIRE's columns, as SQLite and PostgreSQL give them. */
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { SpireRow } from '../store/spire/spire-database.js';

const LONGEST_TEXT = 4096;

/** A null is an empty text, as SPIRE reads it. @throws BonafideError `invalid_argument` naming the column. */
export function textIn(row: SpireRow, column: string): string {
  const value = row[column] ?? '';
  if (typeof value !== 'string') throw wrong(column, 'is not text');
  if (value.length > LONGEST_TEXT) throw wrong(column, `is longer than ${LONGEST_TEXT} characters`);
  return value;
}

export function bytesIn(row: SpireRow, column: string): Buffer {
  const value = row[column] ?? Buffer.alloc(0);
  if (!Buffer.isBuffer(value)) throw wrong(column, 'is not a blob');
  return value;
}

export function numberIn(row: SpireRow, column: string): number {
  const value = row[column] ?? 0;
  const number = typeof value === 'bigint' || typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number))
    throw wrong(column, 'is not a whole number');
  return number;
}

/** A time to live or a count: none when it is 0. */
export function positiveIn(row: SpireRow, column: string): number | undefined {
  const number = numberIn(row, column);
  if (number < 0) throw wrong(column, 'is negative');
  return number === 0 ? undefined : number;
}

export function flagIn(row: SpireRow, column: string): boolean {
  const value = row[column] ?? false;
  if (typeof value === 'boolean') return value;
  if (value === 0n || value === 1n) return value === 1n;
  throw wrong(column, 'is neither true nor false');
}

/** As the drivers of SPIRE write them: `2026-11-22 19:41:30.123456789+00:00` in SQLite. */
export function timeIn(row: SpireRow, column: string): Date | undefined {
  const value = row[column];
  if (value === null || value === undefined) return undefined;
  const time = value instanceof Date ? value : parseTime(value);
  if (time === undefined || !Number.isFinite(time.getTime())) throw wrong(column, 'is not a time');
  // Go's zero time: never set.
  return time.getTime() <= 0 ? undefined : time;
}

/** Seconds since the epoch; 0 is none. */
export function unixTimeIn(row: SpireRow, column: string): Date | undefined {
  const seconds = positiveIn(row, column);
  return seconds === undefined ? undefined : timeOfSeconds(seconds, column);
}

/** @throws BonafideError `invalid_argument` for a time that no calendar has. */
export function timeOfSeconds(seconds: number, what: string): Date {
  const time = new Date(seconds * 1000);
  if (!Number.isFinite(time.getTime())) throw wrong(what, 'is a time beyond the calendar');
  return time;
}

/** What is wrong with a row, in one line; anything unexpected goes on. */
export function reasonOf(error: unknown): string {
  if (error instanceof BonafideError) return errorMessage(error);
  throw error;
}

function parseTime(value: unknown): Date | undefined {
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s?(Z|[+-]\d\d:\d\d)?$/.exec(value);
  if (match === null) return undefined;
  const [, day = '', time = '', fraction = '', zone = 'Z'] = match;
  return new Date(`${day}T${time}.${fraction.padEnd(3, '0').slice(0, 3)}${zone}`);
}

function wrong(column: string, what: string): BonafideError {
  return invalidArgument(`${column} ${what}`);
}
