/** Values of a helper's configuration that are text: modes, signals, and the arguments of a program. */
import { constants } from 'node:os';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

export function parseMode(value: string, allowed: number): number {
  const mode = /^0?o?[0-7]{3,4}$/.test(value) ? Number.parseInt(value.replace(/^0?o?/, ''), 8) : NaN;
  if ((mode & ~allowed) === 0 && (mode & 0o400) !== 0) return mode;
  throw invalidArgument(
    `${JSON.stringify(value)} is no mode for this file; expected octal digits in quotes, at most '0${allowed.toString(8)}'`,
  );
}

export function parseSignal(value: string): number {
  const name = value.toUpperCase().replace(/^(?:SIG)?/, 'SIG');
  const number = Object.entries(constants.signals).find(([known]) => known === name)?.[1];
  if (number !== undefined && name !== 'SIGKILL' && name !== 'SIGSTOP') return number;
  throw invalidArgument(`${JSON.stringify(value)} is no signal to reload by; expected a name such as SIGHUP`);
}

/** Words between spaces; quotation marks keep them together, as in spiffe-helper. */
export function splitArguments(value: string): readonly string[] {
  const parts: string[] = [];
  for (const match of value.matchAll(/"((?:[^"]|"")*)"(?=\s|$)|(\S+)/g)) {
    const [, quoted, plain = ''] = match;
    if (quoted === undefined && plain.includes('"')) {
      throw invalidArgument(
        'has a quotation mark that does not enclose a whole word; write a list of arguments',
      );
    }
    parts.push(quoted?.replaceAll('""', '"') ?? plain);
  }
  return parts;
}
