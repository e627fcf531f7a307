/** How reports for people write times and lists. */
import { dateFromUnixSeconds } from '@bonafide/shared/runtime/clock';

/** Without milliseconds: `2026-11-23T08:00:00Z`. */
export function instant(seconds: number): string {
  return dateFromUnixSeconds(seconds).toISOString().replace('.000Z', 'Z');
}

export function ago(seconds: number, now: number): string {
  return `${span(Math.max(0, now - seconds))} ago`;
}

/** The two largest units that say something. */
export function span(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([count], index) => index === 0 || count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    rows.reduce((widest, row) => Math.max(widest, (row[column] ?? '').length), 0),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

export function selectorText(selector: { readonly type: string; readonly value: string } | null): string {
  return selector === null ? '' : `${selector.type}:${selector.value}`;
}

/** Text of others, which could hold what a terminal obeys. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '?');
}
