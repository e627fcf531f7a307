/** Reads HCL version 1: what HashiCorp's own reader makes of it, with the place of everything, and nothing on which the two differ. */
import { isDeepStrictEqual } from 'node:util';
import { hclTokens, type HclToken } from './hcl-tokens.js';
import {
  DEEPEST,
  decodedGroup,
  HclSyntaxError,
  type HclEntry,
  type HclGroup,
  type HclValue,
} from './hcl-tree.js';

/** @throws HclSyntaxError with the place. */
export async function parseHcl(source: string): Promise<HclGroup> {
  const tree = readHcl(source);
  const { default: library } = await import('js-hcl-parser');
  confirm(library.parse(source), tree);
  return tree;
}

/** Without asking HashiCorp's. @throws HclSyntaxError */
export function readHcl(source: string): HclGroup {
  return new Reader(hclTokens(source)).file();
}

/** It answers JSON, or a sentence about what is wrong. */
function confirm(answer: string, tree: HclGroup): void {
  let theirs: unknown;
  try {
    theirs = JSON.parse(answer);
  } catch {
    const place = /At (\d+):(\d+): /.exec(answer);
    const at = place === null ? undefined : { line: Number(place[1]), column: Number(place[2]) };
    throw new HclSyntaxError(
      at,
      `not valid HCL: ${answer.replace(/^unable to parse JSON: (?:At \d+:\d+: )?/, '')}`,
    );
  }
  if (isDeepStrictEqual(theirs, JSON.parse(JSON.stringify(decodedGroup(tree))))) return;
  throw new HclSyntaxError(
    undefined,
    'something in it can be read in two ways; write texts in plain quotes and numbers in decimal, or write YAML',
  );
}

class Reader {
  readonly #tokens: Iterator<HclToken, void>;
  #next: HclToken;

  constructor(tokens: Iterator<HclToken, void>) {
    this.#tokens = tokens;
    this.#next = this.#read();
  }

  file(): HclGroup {
    const { at } = this.#next;
    const entries = this.#entries(0);
    if (this.#next.kind !== 'end') throw this.#unexpected('a key');
    return { kind: 'group', at, entries };
  }

  #entries(depth: number): readonly HclEntry[] {
    const entries: HclEntry[] = [];
    while (this.#next.kind === 'name' || this.#next.kind === 'text') {
      entries.push(this.#entry(depth));
      if (this.#isMark(',')) this.#take();
    }
    return entries;
  }

  #entry(depth: number): HclEntry {
    const keys: { readonly key: string; readonly at: HclToken['at'] }[] = [];
    while (this.#next.kind === 'name' || this.#next.kind === 'text') {
      const token = this.#take();
      keys.push({ key: 'text' in token ? token.text : '', at: token.at });
    }
    const [first, ...labels] = keys;
    if (first === undefined) throw this.#unexpected('a key');
    if (this.#isMark('=') && labels.length === 0) {
      this.#take();
      return { ...first, value: this.#value(depth) };
    }
    if (!this.#isMark('{')) throw this.#unexpected(labels.length === 0 ? '= or {' : '{');
    const group = this.#group(depth + labels.length);
    const value = labels.reduceRight<HclValue>(
      (inner, label) => ({ kind: 'group', at: label.at, entries: [{ ...label, value: inner }] }),
      group,
    );
    return { ...first, value };
  }

  #value(depth: number): HclValue {
    const token = this.#next;
    if (this.#isMark('{')) return this.#group(depth);
    if (this.#isMark('[')) return this.#list(depth);
    const { at } = token;
    if (token.kind === 'text') {
      this.#take();
      return { kind: 'scalar', at, value: token.text, written: token.text };
    }
    if (token.kind === 'number') {
      this.#take();
      return { kind: 'scalar', at, value: token.value, written: token.text };
    }
    if (token.kind === 'name' && ['true', 'false'].includes(token.text)) {
      this.#take();
      return { kind: 'scalar', at, value: token.text === 'true', written: token.text };
    }
    throw this.#unexpected('a value: text in quotes, a number, true, false, [ or {');
  }

  #group(depth: number): HclGroup {
    const { at } = this.#next;
    this.#refuseDepth(depth);
    this.#take();
    const entries = this.#entries(depth + 1);
    if (!this.#isMark('}')) throw this.#unexpected('a key or }');
    this.#take();
    return { kind: 'group', at, entries };
  }

  #list(depth: number): HclValue {
    const { at } = this.#next;
    this.#refuseDepth(depth);
    this.#take();
    const items: HclValue[] = [];
    while (!this.#isMark(']')) {
      items.push(this.#value(depth + 1));
      if (!this.#isMark(',')) break;
      this.#take();
    }
    if (!this.#isMark(']')) throw this.#unexpected(', or ]');
    this.#take();
    return { kind: 'list', at, items };
  }

  #refuseDepth(depth: number): void {
    if (depth >= DEEPEST) {
      throw new HclSyntaxError(this.#next.at, `groups are nested deeper than ${DEEPEST}`);
    }
  }

  #isMark(text: string): boolean {
    return this.#next.kind === 'mark' && this.#next.text === text;
  }

  #take(): HclToken {
    const token = this.#next;
    if (token.kind !== 'end') this.#next = this.#read();
    return token;
  }

  #read(): HclToken {
    const { value } = this.#tokens.next();
    return value ?? { kind: 'end', at: this.#next.at };
  }

  #unexpected(wanted: string): HclSyntaxError {
    const found = this.#next;
    const text = found.kind === 'end' ? 'the end of the file' : JSON.stringify(found.text.slice(0, 40));
    return new HclSyntaxError(found.at, `expected ${wanted}, found ${text}`);
  }
}
