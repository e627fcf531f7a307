/** Reads the part of Go's text/template that makes paths: text, fields, literals, calls, pipes and parentheses. */
import { invalidArgument, type BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** What comes between `{{` and `}}`, and inside parentheses: each command's value is the last argument of the next. */
export interface Pipeline {
  readonly commands: readonly Command[];
}

export type Command =
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Operand[] }
  | { readonly kind: 'operand'; readonly operand: Operand };

export type Operand =
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  /** `.Subject.CommonName`; no names: the dot alone. */
  | { readonly kind: 'field'; readonly names: readonly string[] }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline };

export type TemplatePart =
  { readonly kind: 'text'; readonly text: string } | { readonly kind: 'action'; readonly pipeline: Pipeline };

const MOST_CHARACTERS = 4096;
const DEEPEST_PARENTHESES = 16;

/** @throws BonafideError `invalid_argument` for what Go's parser refuses, and for what of Go's language has no place in a path. */
export function parseTemplate(text: string): readonly TemplatePart[] {
  if (text.length > MOST_CHARACTERS)
    throw invalidArgument(`template is longer than ${MOST_CHARACTERS} characters`);
  const parts: TemplatePart[] = [];
  let rest = text;
  while (rest !== '') {
    const open = rest.indexOf('{{');
    if (open === -1) {
      parts.push({ kind: 'text', text: rest });
      break;
    }
    const tokens = readAction(rest.slice(open + 2));
    let before = rest.slice(0, open);
    if (tokens.trimsLeft) before = before.trimEnd();
    if (before !== '') parts.push({ kind: 'text', text: before });
    if (!tokens.isComment) parts.push({ kind: 'action', pipeline: new ActionParser(tokens.tokens).parse() });
    rest = rest.slice(open + 2 + tokens.length);
    if (tokens.trimsRight) rest = rest.trimStart();
  }
  return parts;
}

interface Action {
  readonly tokens: readonly Token[];
  /** Up to and with the closing braces. */
  readonly length: number;
  readonly trimsLeft: boolean;
  readonly trimsRight: boolean;
  readonly isComment: boolean;
}

type Token =
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'field'; readonly names: readonly string[] }
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'space' }
  | { readonly kind: '(' | ')' | '|' };

const TOKENS: readonly [RegExp, (text: string) => Token][] = [
  [/\s+/y, () => ({ kind: 'space' })],
  [
    /"(?:[^"\\\n]|\\["\\/nt])*"/y,
    (text) => ({ kind: 'literal', value: JSON.parse(text.replace(/\t/g, '\\t')) as string }),
  ],
  [/`[^`]*`/y, (text) => ({ kind: 'literal', value: text.slice(1, -1) })],
  [/-?\d{1,9}(?![\w.])/y, (text) => ({ kind: 'literal', value: Number(text) })],
  [/(?:true|false)(?!\w)/y, (text) => ({ kind: 'literal', value: text === 'true' })],
  [/(?:\.[A-Za-z_]\w*)+/y, (text) => ({ kind: 'field', names: text.slice(1).split('.') })],
  [/\.(?![\w.])/y, () => ({ kind: 'field', names: [] })],
  [/[A-Za-z_]\w*/y, (word) => ({ kind: 'word', word })],
  [/\(/y, () => ({ kind: '(' })],
  [/\)/y, () => ({ kind: ')' })],
  [/\|/y, () => ({ kind: '|' })],
];

/** @param text what follows the opening braces. */
function readAction(text: string): Action {
  const trimsLeft = /^-\s/.test(text);
  let offset = trimsLeft ? 2 : 0;
  const comment = /^\/\*[^]*?\*\/(\s-)?\}\}/.exec(text.slice(offset));
  if (comment !== null) {
    const length = offset + comment[0].length;
    return { tokens: [], length, trimsLeft, trimsRight: comment[1] !== undefined, isComment: true };
  }
  const tokens: Token[] = [];
  while (offset < text.length) {
    const end = /^(\s-)?\}\}/.exec(text.slice(offset));
    if (end !== null) {
      const length = offset + end[0].length;
      return { tokens, length, trimsLeft, trimsRight: end[1] !== undefined, isComment: false };
    }
    const [token, length] = readToken(text, offset);
    tokens.push(token);
    offset += length;
  }
  throw malformed('has an action that is not closed; expected }}');
}

function readToken(text: string, offset: number): readonly [Token, number] {
  for (const [pattern, token] of TOKENS) {
    pattern.lastIndex = offset;
    const [found] = pattern.exec(text) ?? [];
    if (found !== undefined) return [token(found), found.length];
  }
  throw malformed(
    `has ${JSON.stringify(text.slice(offset, offset + 12))} in an action; there may be fields, literals, functions, pipes and parentheses`,
  );
}

class ActionParser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Pipeline {
    const pipeline = this.#pipeline(0);
    if (this.#next < this.#tokens.length) throw malformed('has a parenthesis too many');
    return pipeline;
  }

  #pipeline(depth: number): Pipeline {
    if (depth > DEEPEST_PARENTHESES)
      throw malformed(`has more than ${DEEPEST_PARENTHESES} parentheses in each other`);
    const commands = [this.#command(depth)];
    while (this.#take('|')) commands.push(this.#command(depth));
    const [, ...piped] = commands;
    if (piped.some(({ kind }) => kind === 'operand')) {
      throw malformed('pipes into something that is not a function');
    }
    return { commands };
  }

  #command(depth: number): Command {
    this.#skipSpace();
    const token = this.#tokens[this.#next];
    const isCall = token?.kind === 'word';
    if (isCall) this.#next += 1;
    const operands: Operand[] = [];
    for (;;) {
      const isApart = this.#skipSpace();
      const operand = this.#operand(depth);
      if (operand === undefined) break;
      if (!isApart && (isCall || operands.length > 0))
        throw malformed('has two values without a space between them');
      operands.push(operand);
    }
    if (isCall) return { kind: 'call', name: token.word, arguments: operands };
    const [operand, ...more] = operands;
    if (operand === undefined) throw malformed('has an action without a value');
    if (more.length > 0) throw malformed('has a value with arguments that is not a function');
    return { kind: 'operand', operand };
  }

  #operand(depth: number): Operand | undefined {
    const token = this.#tokens[this.#next];
    if (token?.kind === 'literal' || token?.kind === 'field') {
      this.#next += 1;
      return token;
    }
    if (token?.kind === 'word')
      throw malformed(`calls ${token.word} as an argument; put it into parentheses`);
    if (!this.#take('(')) return undefined;
    const pipeline = this.#pipeline(depth + 1);
    if (!this.#take(')')) throw malformed('has a parenthesis that is not closed');
    return { kind: 'pipeline', pipeline };
  }

  #take(kind: '(' | ')' | '|'): boolean {
    this.#skipSpace();
    if (this.#tokens[this.#next]?.kind !== kind) return false;
    this.#next += 1;
    return true;
  }

  #skipSpace(): boolean {
    const before = this.#next;
    while (this.#tokens[this.#next]?.kind === 'space') this.#next += 1;
    return this.#next > before;
  }
}

function malformed(problem: string): BonafideError {
  return invalidArgument(`template ${problem}`);
}
