/** A database of SPIRE's, read and never written: its rows as they are, in one snapshot, whichever of the two databases holds it. */

/** What a column holds, of which nothing is believed yet. */
export type SpireRow = Readonly<Record<string, unknown>>;

export interface SpireTable {
  readonly name: string;
  /** Those that are read; the first one is the order. */
  readonly columns: readonly string[];
}

export interface SpireDatabase {
  /** For messages, without secrets. */
  readonly description: string;
  /** Names of the columns of the table; empty when there is no such table. */
  columnsOf(table: string): Promise<ReadonlySet<string>>;
  /** In the order of the first column. All tables are read as of one moment. @throws BonafideError when they cannot be read. */
  rows(table: SpireTable): AsyncIterable<SpireRow>;
  close(): Promise<void>;
}

/** Names of tables and columns come from our own lists; this keeps it so. */
export function quoteName(name: string): string {
  if (!/^[a-z0-9_]+$/.test(name)) throw new Error(`${name} is no name of a table or column of SPIRE's`);
  return `"${name}"`;
}

export function selectText({ name, columns }: SpireTable): string {
  const [order = ''] = columns;
  return `SELECT ${columns.map(quoteName).join(', ')} FROM ${quoteName(name)} ORDER BY ${quoteName(order)}`;
}
