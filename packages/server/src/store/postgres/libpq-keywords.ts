/** Reads libpq's `keyword=value keyword='quoted \' value'`. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

const MOST_PAIRS = 64;

/** In the order of the text; a keyword may come twice. @throws BonafideError `invalid_argument` that quotes no value. */
export function parseKeywordValues(text: string): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  let rest = text.trimStart();
  while (rest !== '') {
    const keyword = /^([a-z_]+)\s*=\s*/.exec(rest);
    if (keyword === null) {
      throw invalidArgument(
        `the database is not a url, and after ${pairs.length} pairs not in the form keyword=value either; expected for example "dbname=registry user=bonafide host=db.example.org"`,
      );
    }
    const [matched, name = ''] = keyword;
    const { value, length } = readValue(rest.slice(matched.length), name);
    pairs.push([name, value]);
    if (pairs.length > MOST_PAIRS) throw invalidArgument(`the database has more than ${MOST_PAIRS} keywords`);
    rest = rest.slice(matched.length + length).trimStart();
  }
  return pairs;
}

function readValue(text: string, name: string): { readonly value: string; readonly length: number } {
  const isQuoted = text.startsWith("'");
  let value = '';
  let index = isQuoted ? 1 : 0;
  for (; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (isQuoted ? character === "'" : /\s/.test(character)) break;
    if (character === '\\') {
      index += 1;
      if (index === text.length) throw invalidArgument(`the value of ${name} ends in a backslash`);
      value += text.charAt(index);
    } else {
      value += character;
    }
  }
  if (!isQuoted) return { value, length: index };
  if (index === text.length)
    throw invalidArgument(`the value of ${name} has an opening quote and no closing one`);
  if (/^\S/.test(text.slice(index + 1)))
    throw invalidArgument(`the value of ${name} goes on after its closing quote`);
  return { value, length: index + 1 };
}
