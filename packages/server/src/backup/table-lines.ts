/** Rows of a table as lines of JSON under gzip, and back: a page at a time in either direction. */
import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { DumpedRow } from '../store/dump/database-dump.js';
import type { TablePart } from './manifest.js';

/** One row can be a revision that changed a million entries. */
const LONGEST_LINE_CHARACTERS = 256 * 1024 * 1024;
const ROWS_AT_ONCE = 500;

const rowSchema = z.array(z.union([z.string(), z.number(), z.null()]));

export function encodeRows(pages: AsyncIterable<readonly DumpedRow[]>): AsyncIterable<Uint8Array> {
  async function* lines(): AsyncIterable<string> {
    for await (const page of pages) yield page.map((row) => `${JSON.stringify(row)}\n`).join('');
  }
  // Whoever reads the end of the pipe hears of what goes wrong in it.
  return pipeline(Readable.from(lines()), createGzip({ level: 6 }), () => undefined);
}

/** @throws BonafideError `invalid_argument`, at the end for a wrong hash or count: nothing read before it counts. */
export async function* decodeRows(
  bytes: AsyncIterable<Buffer>,
  part: TablePart,
): AsyncIterable<readonly DumpedRow[]> {
  const hash = createHash('sha256');
  async function* hashed(): AsyncIterable<Buffer> {
    for await (const chunk of bytes) {
      hash.update(chunk);
      yield chunk;
    }
  }
  const text = pipeline(Readable.from(hashed()), createGunzip(), () => undefined);
  let page: DumpedRow[] = [];
  let count = 0;
  for await (const line of linesOf(text, part)) {
    page.push(parseRow(line, part));
    count += 1;
    if (page.length < ROWS_AT_ONCE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
  if (hash.digest('hex') !== part.sha256) throw damaged(part, 'its hash is another one');
  if (count !== part.rows) throw damaged(part, `it has ${count} rows; the manifest says ${part.rows}`);
}

async function* linesOf(text: AsyncIterable<Buffer>, part: TablePart): AsyncIterable<string> {
  let pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of text) {
      let from = 0;
      for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
        yield Buffer.concat([...pieces, chunk.subarray(from, end)]).toString('utf8');
        pieces = [];
        length = 0;
        from = end + 1;
      }
      pieces.push(chunk.subarray(from));
      length += chunk.length - from;
      if (length > LONGEST_LINE_CHARACTERS) throw damaged(part, 'it has a row that is too long');
    }
  } catch (error) {
    if (error instanceof BonafideError) throw error;
    throw damaged(part, errorMessage(error));
  }
  if (length > 0) throw damaged(part, 'it ends in the middle of a row');
}

function parseRow(line: string, part: TablePart): DumpedRow {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // What the parser says may quote the row.
  }
  const row = rowSchema.safeParse(value).data;
  if (row?.length === part.columns.length) return row;
  throw damaged(part, 'it has something that is no row of it');
}

function damaged({ name }: TablePart, how: string): BonafideError {
  return new BonafideError('invalid_argument', `the part ${name} of the backup is damaged: ${how}`);
}
