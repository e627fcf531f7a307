/** Reads what a command is given as a file, or on standard input when the path is `-`. */
import { createReadStream } from 'node:fs';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';

export const STANDARD_INPUT = '-';

/** @throws BonafideError `invalid_argument` when it cannot be read or is larger than `mostBytes`. */
export async function readInput(path: string, host: CommandHost, mostBytes: number): Promise<string> {
  const name = inputName(path);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of path === STANDARD_INPUT ? host.stdin : createReadStream(path)) {
      const bytes = Buffer.from(chunk as Buffer | string);
      size += bytes.length;
      if (size > mostBytes) break;
      chunks.push(bytes);
    }
  } catch (error) {
    throw invalidArgument(`cannot read ${name}: ${errorMessage(error)}`, error);
  }
  if (size > mostBytes) throw invalidArgument(`${name} is larger than ${mostBytes} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}

export function inputName(path: string): string {
  return path === STANDARD_INPUT ? 'standard input' : path;
}
