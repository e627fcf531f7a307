/** The lines of audit files, also compressed ones, one at a time: a log of any size in the memory of one line. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { LONGEST_LINE_BYTES } from './audit-record.js';

export interface FileLine {
  readonly path: string;
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
  /** Whether it has an end; only the last one of a file may have none. */
  readonly isEnded: boolean;
}

const NEWLINE = 0x0a;

/** @throws BonafideError `invalid_argument` when it cannot be read, or a line is longer than any record. */
export async function* readLines(path: string): AsyncGenerator<FileLine, void> {
  const file = createReadStream(path);
  const source = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  file.on('error', (error) => source.destroy(error));
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE, start)) {
        number += 1;
        yield { path, number, bytes: rest.subarray(start, end), isEnded: true };
        start = end + 1;
      }
      rest = rest.subarray(start);
      if (rest.length > LONGEST_LINE_BYTES) {
        throw new BonafideError('invalid_argument', `line ${number + 1} is longer than any record`);
      }
    }
  } catch (error) {
    throw new BonafideError('invalid_argument', `cannot read ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (rest.length > 0) yield { path, number: number + 1, bytes: rest, isEnded: false };
}

/** A file itself; of a folder the audit files in it, in the order in which they were written. */
export async function auditFilesAt(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch((error: unknown) => {
    throw new BonafideError('invalid_argument', `cannot read ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  });
  if (!found.isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => LOG_FILE.test(name));
  if (names.length === 0) {
    throw new BonafideError(
      'invalid_argument',
      `there is no audit file in ${path}; expected for example audit.log`,
    );
  }
  return names.sort(byTime).map((name) => join(path, name));
}

/** `audit.log`, and what `rotatedName` makes of it. */
const LOG_FILE = /^[^.].*\.log(\.\d{4}-\d\d-\d\dT[\d.-]+Z(\.gz)?)?$/;

/** The one without a time is written now. */
function byTime(one: string, other: string): number {
  const [first, second] = [stampOf(one), stampOf(other)];
  return first < second ? -1 : first > second ? 1 : 0;
}

function stampOf(name: string): string {
  return /\.log\.(.*Z)/.exec(name)?.[1] ?? '~';
}
