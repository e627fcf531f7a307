/** The functions that templates of paths may call: those of Go's text/template and of sprig that turn values into parts of a path. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { fieldOf, isEmpty, isFields, isList, textOf, type TemplateValue } from './template-value.js';

export interface TemplateFunction {
  readonly fewest: number;
  readonly most: number;
  call(values: readonly TemplateValue[]): TemplateValue;
}

const MOST_ARGUMENTS = 16;

/** All arguments are text. */
function ofText(count: number, call: (...texts: string[]) => TemplateValue): TemplateFunction {
  const read = (values: readonly TemplateValue[]): string[] =>
    values.map((value, index) => textOf(value, `argument ${index + 1}`));
  return { fewest: count, most: count, call: (values) => call(...read(values)) };
}

function ofList(call: (list: readonly TemplateValue[]) => TemplateValue): TemplateFunction {
  return { fewest: 1, most: 1, call: ([list = '']) => call(listOf(list)) };
}

function ofValues(
  fewest: number,
  most: number,
  call: (...values: TemplateValue[]) => TemplateValue,
): TemplateFunction {
  return { fewest, most, call: (values) => call(...values) };
}

function listOf(value: TemplateValue): readonly TemplateValue[] {
  if (!isList(value)) throw invalidArgument('the argument is not a list');
  return value;
}

function wholeNumber(value: TemplateValue): number {
  if (typeof value !== 'number') throw invalidArgument('the argument is not a number');
  return value;
}

/** Go cuts strings by bytes; those of a path are ASCII, and others are refused rather than cut apart. */
function ascii(value: TemplateValue): string {
  const text = textOf(value, 'the argument');
  if (/[^\0-\x7f]/.test(text)) throw invalidArgument('the argument to be cut is not ASCII');
  return text;
}

function digest(algorithm: 'sha1' | 'sha256'): TemplateFunction {
  return ofText(1, (text = '') => createHash(algorithm).update(text).digest('hex'));
}

/** Go's index: a name that a map does not have gives nothing, a place that a list does not have is an error. */
function index(value: TemplateValue, key: TemplateValue): TemplateValue {
  if (isList(value)) {
    const found = value[wholeNumber(key)];
    if (found === undefined) throw invalidArgument(`the list has no element ${textOf(key, 'the index')}`);
    return found;
  }
  if (isFields(value)) return fieldOf(value, textOf(key, 'the name')) ?? '';
  throw invalidArgument('the argument is neither a list nor a map');
}

function trimCharacters(characters: string, text: string): string {
  const isOuter = (character: string | undefined): boolean =>
    character !== undefined && characters.includes(character);
  let start = 0;
  let end = text.length;
  while (start < end && isOuter(text[start])) start += 1;
  while (end > start && isOuter(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

export const TEMPLATE_FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map(
  Object.entries<TemplateFunction>({
    index: ofValues(2, 2, (value, key) => index(value, key)),
    print: ofValues(1, MOST_ARGUMENTS, (...values) =>
      values.map((value) => textOf(value, 'an argument')).join(''),
    ),
    toString: ofText(1, (text) => text),
    lower: ofText(1, (text) => text.toLowerCase()),
    upper: ofText(1, (text) => text.toUpperCase()),
    trim: ofText(1, (text) => text.trim()),
    nospace: ofText(1, (text) => text.replace(/\s/g, '')),
    trimAll: ofText(2, (characters, text) => trimCharacters(characters, text)),
    trimPrefix: ofText(2, (prefix, text) => (text.startsWith(prefix) ? text.slice(prefix.length) : text)),
    trimSuffix: ofText(2, (suffix, text) =>
      suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text,
    ),
    replace: ofText(3, (from, to, text) => text.replaceAll(from, () => to)),
    contains: ofText(2, (part, text) => text.includes(part)),
    hasPrefix: ofText(2, (prefix, text) => text.startsWith(prefix)),
    hasSuffix: ofText(2, (suffix, text) => text.endsWith(suffix)),
    trunc: ofValues(2, 2, (length, text) => {
      const count = wholeNumber(length);
      return count < 0 ? ascii(text).slice(count) : ascii(text).slice(0, count);
    }),
    substr: ofValues(3, 3, (start, end, text) => {
      const [from, to] = [wholeNumber(start), wholeNumber(end)];
      const whole = ascii(text);
      if (from < 0) return whole.slice(0, Math.max(to, 0));
      return to < 0 || to > whole.length ? whole.slice(from) : whole.slice(from, to);
    }),
    default: ofValues(2, 2, (fallback, value) => (isEmpty(value) ? fallback : value)),
    coalesce: ofValues(1, MOST_ARGUMENTS, (...values) => values.find((value) => !isEmpty(value)) ?? ''),
    empty: ofValues(1, 1, (value) => isEmpty(value)),
    ternary: ofValues(3, 3, (yes, no, condition) => (condition === true ? yes : no)),
    hasKey: ofValues(2, 2, (value, key) => isFields(value) && Object.hasOwn(value, textOf(key, 'the name'))),
    get: ofValues(2, 2, (value, key) => index(value, textOf(key, 'the name'))),
    list: ofValues(0, MOST_ARGUMENTS, (...values) => values),
    first: ofList((list) => list[0] ?? ''),
    last: ofList((list) => list.at(-1) ?? ''),
    rest: ofList((list) => list.slice(1)),
    initial: ofList((list) => list.slice(0, -1)),
    reverse: ofList((list) => list.toReversed()),
    sortAlpha: ofList((list) => list.map((value) => textOf(value, 'an element')).toSorted()),
    splitList: ofText(2, (separator, text) => text.split(separator)),
    join: ofValues(2, 2, (separator, list) =>
      listOf(list)
        .map((value) => textOf(value, 'an element'))
        .join(textOf(separator, 'the separator')),
    ),
    base: ofText(1, (text) => posix.basename(text) || '.'),
    dir: ofText(1, (text) => posix.dirname(text)),
    clean: ofText(1, (text) => posix.normalize(text).replace(/(?<=[^])\/$/, '')),
    ext: ofText(1, (text) => /\.[^./]*$/.exec(text)?.[0] ?? ''),
    b64enc: ofText(1, (text) => Buffer.from(text).toString('base64')),
    sha1sum: digest('sha1'),
    sha256sum: digest('sha256'),
  }),
);
