/** The tables of docs/spire-compatibility.md, read as they stand there. */
import { readFileSync } from 'node:fs';

/** What SPIRE's flags of one command come to here. */
export interface SpireRow {
  readonly program: string;
  /** `every command with -socketPath`, or the words of one. */
  readonly command: string;
  readonly state: 'same' | 'no effect' | 'missing';
  /** In SPIRE's spelling, without the dash. */
  readonly flags: readonly string[];
  readonly remark: string;
}

/** A command that SPIRE has not, or flags of ours of one that it has. */
export interface OwnRow {
  readonly program: string;
  readonly command: string;
  /** As `--prune`. */
  readonly flags: readonly string[];
}

const DOCUMENT = new URL('../../docs/spire-compatibility.md', import.meta.url);
const STATES = ['same', 'no effect', 'missing'] as const;
const SPIRE_HEADING = /^### `([a-z-]+)` → `([a-z-]+)`$/;
const OWN_HEADING = /^### `([a-z-]+)`, beyond SPIRE$/;

export function readSpireTables(): { readonly spire: readonly SpireRow[]; readonly own: readonly OwnRow[] } {
  const spire: SpireRow[] = [];
  const own: OwnRow[] = [];
  let heading: { readonly kind: 'spire' | 'own'; readonly program: string } | undefined;
  for (const line of readFileSync(DOCUMENT, 'utf8').split('\n')) {
    const ofSpire = SPIRE_HEADING.exec(line)?.[2];
    const ofOwn = OWN_HEADING.exec(line)?.[1];
    if (ofSpire !== undefined) heading = { kind: 'spire', program: ofSpire };
    else if (ofOwn !== undefined) heading = { kind: 'own', program: ofOwn };
    else if (line.startsWith('#')) heading = undefined;
    const cells = cellsOf(line);
    if (heading === undefined || cells === undefined) continue;
    if (heading.kind === 'spire') spire.push(spireRow(heading.program, cells));
    else own.push(ownRow(heading.program, cells));
  }
  return { spire, own };
}

/** Undefined for what is no row, and for the head of a table. */
function cellsOf(line: string): readonly string[] | undefined {
  if (!line.startsWith('| ') || /^\| (command |-)/.test(line)) return undefined;
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function spireRow(
  program: string,
  [command = '', state = '', flags = '', remark = '']: readonly string[],
): SpireRow {
  const known = STATES.find((each) => each === state);
  if (known === undefined) throw new Error(`${state} is no state of ${command}`);
  return {
    program,
    command: bare(command),
    state: known,
    flags: words(flags).map((flag) => flag.slice(1)),
    remark: bare(remark),
  };
}

function ownRow(program: string, [command = '', flags = '']: readonly string[]): OwnRow {
  return { program, command: bare(command), flags: words(flags) };
}

function words(cell: string): readonly string[] {
  return bare(cell).split(' ').filter(Boolean);
}

function bare(cell: string): string {
  return cell.replaceAll('`', '');
}
