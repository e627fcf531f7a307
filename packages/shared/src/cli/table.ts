/** Lists of our own commands: a table for who looks at a terminal, plain lines for scripts. */
import Table from 'cli-table3';
import type { CommandHost } from './command-host.js';
import { isTerminal, showsColour } from './terminal.js';

interface Listing {
  readonly headings: readonly string[];
  /** As many cells as there are headings; a cell may have several lines. */
  readonly rows: readonly (readonly string[])[];
  /** What scripts read. */
  readonly plain: () => string;
}

/** Ends with a line break. */
export function listingText(host: CommandHost, { headings, plain, rows }: Listing): string {
  if (!isTerminal(host, 'stdout') || rows.length === 0) return plain();
  const emphasis = showsColour(host, 'stdout') ? bold : (text: string) => text;
  // No styles of the table's own: whether they show depends on this process's surroundings, not on the host's.
  const table = new Table({
    head: headings.map((heading) => emphasis(harmless(heading))),
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows.map((cells) => cells.map(harmless)));
  return `${table.toString()}\n`;
}

function bold(text: string): string {
  return `\u001B[1m${text}\u001B[22m`;
}

/** Cells can hold what a stranger sent, and a terminal obeys control characters. */
function harmless(text: string): string {
  return text.replace(/[^\P{Cc}\n]|\p{Cf}/gu, '\uFFFD');
}
