/** PEM (RFC 7468): labelled base64 blocks, written with a trailing newline and read strictly. */
import { invalidArgument } from '../errors/bonafide-error.js';

const MAX_PEM_CHARACTERS = 4 * 1024 * 1024;

export function encodePem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}${lines.length === 0 ? '' : '\n'}-----END ${label}-----\n`;
}

/**
 * Every block of the text, which must all have the label; text outside of blocks is explanatory and skipped, as in RFC 7468 section 2.
 * @throws BonafideError `invalid_argument` when there is none, or one is malformed or has another label.
 */
export function decodePem(label: string, text: string): Buffer[] {
  if (text.length > MAX_PEM_CHARACTERS)
    throw invalidArgument(`PEM text is longer than ${MAX_PEM_CHARACTERS} characters`);
  const blocks: Buffer[] = [];
  let open: string[] | undefined;
  for (const line of text.split(/\r?\n/)) {
    const marker = /^-----(BEGIN|END) ([A-Z0-9 .#]+)-----[ \t]*$/.exec(line);
    if (marker === null) {
      if (line.startsWith('-----'))
        throw invalidArgument('malformed PEM: a line of dashes is neither BEGIN nor END of a block');
      open?.push(line.trim());
      continue;
    }
    const [, edge, found = ''] = marker;
    if (found !== label)
      throw invalidArgument(`PEM block ${JSON.stringify(found)} where ${JSON.stringify(label)} is expected`);
    if (edge === 'BEGIN') {
      if (open !== undefined) throw invalidArgument(`malformed PEM: ${label} block has no END line`);
      open = [];
    } else {
      if (open === undefined) throw invalidArgument(`malformed PEM: ${label} block has no BEGIN line`);
      blocks.push(decodeBase64(open.join(''), `${label} block`));
      open = undefined;
    }
  }
  if (open !== undefined) throw invalidArgument(`malformed PEM: ${label} block has no END line`);
  if (blocks.length === 0) throw invalidArgument(`no PEM block; expected -----BEGIN ${label}-----`);
  return blocks;
}

/** Padded, canonical base64. @throws BonafideError `invalid_argument`. */
export function decodeBase64(text: string, field: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== text)
    throw invalidArgument(`${field} is not base64`);
  return bytes;
}
