/** Columns to domain values and back: null means undefined, a Flag means a boolean, a number means a time. */
import type { Flag } from './schema.js';

export function flag(value: boolean): Flag {
  return value ? 1 : 0;
}

export function dateOrUndefined(milliseconds: number | null): Date | undefined {
  return milliseconds === null ? undefined : new Date(milliseconds);
}

export function millisecondsOrNull(date: Date | undefined): number | null {
  return date === undefined ? null : date.getTime();
}
