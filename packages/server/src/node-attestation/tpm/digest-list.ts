/** Lists of SHA-256 digests in files: of endorsement keys that may attest, of files that may run. */
import { createHash } from 'node:crypto';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseEkHash } from './parse-hex-digest.js';
import type { FileText } from '../watched-file.js';

export interface DigestList {
  /** Lower-case hex. */
  readonly digests: ReadonlySet<string>;
  /** Names this version of the list. */
  readonly version: string;
}

/** One EK hash a line; `#` begins a comment. @throws BonafideError `invalid_argument` naming file and line. */
export function parseEkHashes(files: readonly FileText[]): DigestList {
  return parseLines(files, parseEkHash);
}

/**
 * One file a line, as sha256sum prints it: the digest, with `sha256:` before it or not, and a path after it or not, which is for people.
 * @throws BonafideError `invalid_argument` naming file and line.
 */
export function parseImaAllowList(files: readonly FileText[]): DigestList {
  return parseLines(files, (line) => {
    const [digest = ''] = line.split(/\s/, 1);
    const bare = digest.startsWith('sha256:') ? digest.slice('sha256:'.length) : digest;
    if (/^[0-9a-fA-F]{64}$/.test(bare)) return bare.toLowerCase();
    throw invalidArgument(`${JSON.stringify(digest.slice(0, 80))} is not a SHA-256 in hexadecimal digits`);
  });
}

function parseLines(files: readonly FileText[], parse: (line: string) => string): DigestList {
  const digests = new Set<string>();
  const version = createHash('sha256');
  for (const { path, text } of files) {
    version.update(text);
    for (const [index, whole] of text.split('\n').entries()) {
      const line = whole.replace(/(?:^|\s)#.*$/, '').trim();
      if (line === '') continue;
      try {
        digests.add(parse(line));
      } catch (error) {
        if (!(error instanceof BonafideError)) throw error;
        throw invalidArgument(`${path}:${index + 1}: ${error.message}`, error);
      }
    }
  }
  return { digests, version: version.digest('hex').slice(0, 16) };
}
