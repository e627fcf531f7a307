/** JSON from outside, read strictly: no name twice in one object (RFC 7515 section 4, RFC 7519 section 4), no deep nesting. */
import { invalidArgument } from '../errors/bonafide-error.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const DEEPEST = 16;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param what names it in errors.
 * @throws BonafideError `invalid_argument` for what is not one JSON object in UTF-8, or repeats a name.
 */
export function parseUniqueJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (cause) {
    throw invalidArgument(`the ${what} is not UTF-8`, cause);
  }
  return parseUniqueJsonText(text, what);
}

/** @throws BonafideError `invalid_argument`, as `parseUniqueJsonObject`. */
export function parseUniqueJsonText(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalidArgument(`the ${what} is not JSON`, cause);
  }
  if (!isJsonObject(value)) throw invalidArgument(`the ${what} is not a JSON object`);
  checkNames(text, what);
  return value;
}

/** Where a string or a bracket begins. */
const STRUCTURE = /["{}[\]]/g;
/** What makes the string before it a name. */
const COLON = /\s*:/y;

/** Never looks at a character more than a few times. @param text valid JSON, in which outside of strings every bracket counts. */
function checkNames(text: string, what: string): void {
  const open: Set<string>[] = [];
  STRUCTURE.lastIndex = 0;
  for (let found = STRUCTURE.exec(text); found !== null; found = STRUCTURE.exec(text)) {
    const [character] = found;
    if (character === '{' || character === '[') {
      if (open.push(new Set()) > DEEPEST) throw invalidArgument(`the ${what} is nested too deeply`);
    } else if (character === '"') {
      const end = endOfString(text, found.index);
      STRUCTURE.lastIndex = end;
      COLON.lastIndex = end;
      if (COLON.test(text)) addName(open.at(-1), JSON.parse(text.slice(found.index, end)) as string, what);
    } else {
      open.pop();
    }
  }
}

function addName(names: Set<string> | undefined, name: string, what: string): void {
  if (names?.has(name) === true) {
    throw invalidArgument(`the ${what} has ${JSON.stringify(name.slice(0, 100))} twice`);
  }
  names?.add(name);
}

/** @returns the position after the closing quote. */
function endOfString(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}
