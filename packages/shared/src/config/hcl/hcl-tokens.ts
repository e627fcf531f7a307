/** The words of an HCL file: names, texts, numbers and punctuation, each with its place. */
import { HclSyntaxError, type Place } from './hcl-tree.js';
import { parseHclNumber, unquoteHcl } from './hcl-literals.js';

export type HclToken = { readonly at: Place } & (
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly value: number; readonly text: string }
  | { readonly kind: 'mark'; readonly text: '{' | '}' | '[' | ']' | '=' | ',' }
  | { readonly kind: 'end' }
);

const NAME = /[\p{L}_][\p{L}\p{Nd}_.-]*/uy;
const NUMBER = /-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)/y;
const SPACE = /(?:[ \t\r\n]|#[^\n]*|\/\/[^\n]*|\/\*[^]*?\*\/)+/y;
const HEREDOC = /<<(-?)([A-Za-z0-9_]+)\r?\n/y;

/** @throws HclSyntaxError */
export function* hclTokens(source: string): Generator<HclToken, void, undefined> {
  const places = new Places(source);
  let index = 0;
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = index;
    return pattern.exec(source) ?? undefined;
  };
  for (;;) {
    index += match(SPACE)?.[0].length ?? 0;
    const at = places.at(index);
    const first = source[index];
    if (first === undefined) {
      yield { kind: 'end', at };
      return;
    }
    if (isMark(first)) {
      index += 1;
      yield { kind: 'mark', text: first, at };
      continue;
    }
    if (first === '"') {
      const end = endOfText(source, index, at);
      yield { kind: 'text', text: unquoteHcl(source.slice(index + 1, end - 1), at), at };
      index = end;
      continue;
    }
    const name = match(NAME)?.[0];
    if (name !== undefined) {
      index += name.length;
      yield { kind: 'name', text: name, at };
      continue;
    }
    const number = match(NUMBER)?.[0];
    if (number !== undefined) {
      index += number.length;
      yield { kind: 'number', value: parseHclNumber(number, at), text: number, at };
      continue;
    }
    const heredoc = match(HEREDOC);
    if (heredoc !== undefined) {
      const { text, end } = readHeredoc(source, index, heredoc, at);
      index = end;
      yield { kind: 'text', text, at };
      continue;
    }
    throw new HclSyntaxError(at, `${JSON.stringify(first)} begins nothing; expected a key, a value or }`);
  }
}

function isMark(text: string): text is '{' | '}' | '[' | ']' | '=' | ',' {
  return '{}[]=,'.includes(text);
}

/** After the closing quote. Within `${` and its `}` quotes and line ends are part of the text. */
function endOfText(source: string, start: number, at: Place): number {
  let depth = 0;
  for (let index = start + 1; index < source.length; index += 1) {
    const letter = source[index];
    if (depth === 0 && letter === '"') return index + 1;
    if (depth === 0 && letter === '\n') break;
    if (letter === '\\' && depth === 0) index += 1;
    else if (letter === '$' && source[index + 1] === '{') {
      depth += 1;
      index += 1;
    } else if (depth > 0 && letter === '{') depth += 1;
    else if (depth > 0 && letter === '}') depth -= 1;
  }
  throw new HclSyntaxError(at, 'this text does not end; expected a closing " in its line');
}

function readHeredoc(
  source: string,
  start: number,
  { 0: opening, 1: dash, 2: word = '' }: RegExpExecArray,
  at: Place,
): { readonly text: string; readonly end: number } {
  const lines: string[] = [];
  let index = start + opening.length;
  while (index < source.length) {
    const lineEnd = source.indexOf('\n', index);
    const end = lineEnd === -1 ? source.length : lineEnd;
    const line = source.slice(index, end);
    if (line.trim() === word) return { text: heredocText(lines, dash === '-' ? line : ''), end };
    lines.push(`${line}\n`);
    index = end + 1;
  }
  throw new HclSyntaxError(at, `this text does not end; expected a line with ${word} alone`);
}

/** With `<<-`, what the last line is indented by is taken from every line, when every line has it. */
function heredocText(lines: readonly string[], lastLine: string): string {
  const indent = /^\s*/.exec(lastLine)?.[0] ?? '';
  const isIndented = lines.every((line) => line.startsWith(indent));
  return lines.map((line) => (isIndented ? line.slice(indent.length) : line)).join('');
}

/** Lines and columns, asked for in the order of the text. */
class Places {
  readonly #source: string;
  #line = 1;
  #lineStart = 0;

  constructor(source: string) {
    this.#source = source;
  }

  at(index: number): Place {
    for (;;) {
      const next = this.#source.indexOf('\n', this.#lineStart);
      if (next === -1 || next >= index) break;
      this.#line += 1;
      this.#lineStart = next + 1;
    }
    return { line: this.#line, column: index - this.#lineStart + 1 };
  }
}
