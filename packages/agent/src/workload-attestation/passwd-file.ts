/** Names of users and groups by number, from files in the form of passwd(5) and group(5); read again when the file changes. */
import { readFileSync, statSync } from 'node:fs';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';

/** The fields before the third colon, `name:password:number`, are the same in both files. */
export class PasswdFile {
  readonly #path: string;
  readonly #log: Logger;
  #version: string | undefined;
  #names: ReadonlyMap<number, string> = new Map();

  constructor({ path, log }: { readonly path: string; readonly log: Logger }) {
    this.#path = path;
    this.#log = log;
  }

  /** Undefined when the number has no name, as in most containers. */
  nameOf(id: number): string | undefined {
    this.#refresh();
    return this.#names.get(id);
  }

  /** A file that cannot be read gives no names, so that selectors by number still hold; the log says it once. */
  #refresh(): void {
    let version = 'unreadable';
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.#path, { bigint: true });
      version = [dev, ino, size, mtimeNs, ctimeNs].join(':');
      if (version === this.#version) return;
      this.#names = parsePasswdFile(readFileSync(this.#path, 'utf8'));
    } catch (error) {
      this.#names = new Map();
      if (version === this.#version) return;
      this.#log.warn({ path: this.#path, err: error }, `no names can be read: ${errorMessage(error)}`);
    }
    this.#version = version;
  }
}

/** The first line of a number counts, as for getpwuid(3); lines of another form (comments, NIS) are passed over. */
export function parsePasswdFile(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [, name, number] = /^([^:#+-][^:]*):[^:]*:(\d{1,10})(?::|$)/.exec(line) ?? [];
    if (name === undefined || number === undefined) continue;
    if (!names.has(Number(number))) names.set(Number(number), name);
  }
  return names;
}
