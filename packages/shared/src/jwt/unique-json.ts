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
  let value: unknown;
  try {
    text = decoder.decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw invalidArgument(`the ${what} is not JSON`, cause);
  }
  if (!isJsonObject(value)) throw invalidArgument(`the ${what} is not a JSON object`);
  checkNames(text, what);
  return value;
}

/** Of each string: whether it is followed by a colon, which in JSON makes it a name. */
const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gsu;

/** @param text valid JSON, in which outside of strings every bracket counts. */
function checkNames(text: string, what: string): void {
  const open: Set<string>[] = [];
  for (const [token, colon] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      if (open.push(new Set()) > DEEPEST) throw invalidArgument(`the ${what} is nested too deeply`);
    } else if (token === '}' || token === ']') {
      open.pop();
    } else if (colon !== undefined) {
      const name = JSON.parse(token.slice(0, -colon.length)) as string;
      const names = open.at(-1);
      if (names?.has(name) === true) {
        throw invalidArgument(`the ${what} has ${JSON.stringify(name.slice(0, 100))} twice`);
      }
      names?.add(name);
    }
  }
}
