/** Rows for people: as lines of a terminal, and as a table to be pasted into docs/benchmarks.md. */
import type { Row } from '../row.js';

/** One line a row, its target and then its reference under it. */
export function formatText(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ what }) => what.length));
  return rows
    .flatMap((row) => {
      const { what, value, unit, reference, target } = row;
      const targeted = target === undefined ? '' : `  (target ${target})`;
      const line = `  ${what.padEnd(width)}  ${formatNumber(value).padStart(8)} ${unit}${targeted}`.trimEnd();
      if (reference === undefined) return [line];
      const ratio = ratioOf(row);
      return [line, `      ${referenceOf(row)}${ratio === '' ? '' : `; ratio ${ratio}`}`];
    })
    .join('\n');
}

export function formatMarkdown(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    `${formatNumber(row.value)} ${row.unit}`.trimEnd(),
    row.target ?? '',
    referenceOf(row),
    ratioOf(row),
  ]);
  const table = [['measured', 'figure', 'target', 'reference, same run', 'ratio'], ...cells];
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  );
  const lines = table.map(
    (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`,
  );
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`);
  return lines.join('\n');
}

function referenceOf({ reference }: Row): string {
  if (reference === undefined) return '';
  const what = reference.what.replace(/, same run$/, '');
  return `${what}: ${formatNumber(reference.value)} ${reference.unit}`.trimEnd();
}

function ratioOf({ value, reference }: Row): string {
  if (reference === undefined || reference.value === 0) return '';
  return formatNumber(Number((value / reference.value).toPrecision(2)));
}

/** Three digits that count, and no exponents. */
function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value.toLocaleString('en', {
    maximumSignificantDigits: Math.abs(value) < 1000 ? 3 : Math.floor(Math.log10(Math.abs(value))) + 1,
  });
}
