/** The part of Structured Field Values (RFC 8941) that HTTP signatures and content digests are made of, read strictly and written exactly. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { trimSpace } from './trim-space.js';

/** Integers, strings, byte sequences, booleans and tokens; no decimals. */
export type BareItem = number | string | boolean | Buffer | SfToken;

/** A token: a word without quotes. */
interface SfToken {
  readonly token: string;
}

type Parameters = ReadonlyMap<string, BareItem>;

export interface SfItem {
  readonly value: BareItem;
  readonly parameters: Parameters;
}

export interface InnerList {
  readonly items: readonly SfItem[];
  readonly parameters: Parameters;
}

export type Dictionary = ReadonlyMap<string, SfItem | InnerList>;

const MAX_CHARACTERS = 16 * 1024;
const MAX_MEMBERS = 64;

const KEY = /[a-z*][a-z0-9_\-.*]*/y;
const INTEGER = /-?[0-9]{1,15}(?![0-9.])/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y;
const BOOLEAN = /\?([01])/y;
const TOKEN = /[A-Za-z*][!#$%&'*+\-.^_`|~A-Za-z0-9:/]*/y;
const SPACES = / */y;
const COMMA = /[ \t]*,[ \t]*/y;

/**
 * @param text the field's lines, joined by commas.
 * @param what names the field in errors.
 * @throws BonafideError `invalid_argument`; also for a name that comes twice, of which RFC 8941 would take the last.
 */
export function parseDictionary(text: string, what: string): Dictionary {
  if (text.length > MAX_CHARACTERS)
    throw invalidArgument(`${what} is longer than ${MAX_CHARACTERS} characters`);
  const reader = new Reader(trimSpace(text), what);
  const members = new Map<string, SfItem | InnerList>();
  if (reader.isAtEnd) return members;
  do {
    const key = reader.take(KEY, 'a name');
    if (members.has(key)) throw reader.fault(`${JSON.stringify(key.slice(0, 50))} twice`);
    members.set(
      key,
      reader.skip('=') ? readMember(reader) : { value: true, parameters: readParameters(reader) },
    );
    if (members.size > MAX_MEMBERS) throw reader.fault('too many members');
  } while (reader.tryTake(COMMA) !== undefined);
  reader.expectEnd();
  return members;
}

export function serializeDictionary(dictionary: Dictionary): string {
  return [...dictionary]
    .map(([key, member]) => {
      if ('items' in member) return `${key}=${serializeInnerList(member)}`;
      const parameters = serializeParameters(member.parameters);
      return member.value === true
        ? `${key}${parameters}`
        : `${key}=${serializeBareItem(member.value)}${parameters}`;
    })
    .join(', ');
}

export function serializeInnerList({ items, parameters }: InnerList): string {
  return `(${items.map(serializeItem).join(' ')})${serializeParameters(parameters)}`;
}

export function serializeItem({ value, parameters }: SfItem): string {
  return serializeBareItem(value) + serializeParameters(parameters);
}

class Reader {
  readonly #text: string;
  readonly #what: string;
  #position = 0;

  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#text.length;
  }

  /** @returns the first group, or everything that matched; undefined when it is not next. @param pattern sticky. */
  tryTake(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#position = pattern.lastIndex;
    return found[1] ?? found[0];
  }

  take(pattern: RegExp, expected: string): string {
    const taken = this.tryTake(pattern);
    if (taken === undefined) throw this.fault(`something else where ${expected} is expected`);
    return taken;
  }

  skip(character: string): boolean {
    if (this.#text[this.#position] !== character) return false;
    this.#position += 1;
    return true;
  }

  expectEnd(): void {
    if (!this.isAtEnd) throw this.fault('something that does not belong there');
  }

  fault(problem: string): Error {
    return invalidArgument(`${this.#what} is malformed: it has ${problem}, at position ${this.#position}`);
  }
}

function readMember(reader: Reader): SfItem | InnerList {
  if (!reader.skip('(')) return readItem(reader);
  const items: SfItem[] = [];
  for (;;) {
    const spaces = reader.take(SPACES, 'spaces');
    if (reader.skip(')')) return { items, parameters: readParameters(reader) };
    if (items.length > 0 && spaces === '') throw reader.fault('items that are not apart');
    if (items.push(readItem(reader)) > MAX_MEMBERS) throw reader.fault('too many items');
  }
}

function readItem(reader: Reader): SfItem {
  return { value: readBareItem(reader), parameters: readParameters(reader) };
}

function readParameters(reader: Reader): Parameters {
  const parameters = new Map<string, BareItem>();
  while (reader.skip(';')) {
    reader.take(SPACES, 'spaces');
    const key = reader.take(KEY, 'the name of a parameter');
    if (parameters.has(key)) throw reader.fault(`the parameter ${JSON.stringify(key.slice(0, 50))} twice`);
    parameters.set(key, reader.skip('=') ? readBareItem(reader) : true);
    if (parameters.size > MAX_MEMBERS) throw reader.fault('too many parameters');
  }
  return parameters;
}

function readBareItem(reader: Reader): BareItem {
  const text = reader.tryTake(STRING);
  if (text !== undefined) return text.replace(/\\(["\\])/g, '$1');
  const bytes = reader.tryTake(BYTES);
  if (bytes !== undefined) return decodeBytes(bytes, reader);
  const integer = reader.tryTake(INTEGER);
  if (integer !== undefined) return Number(integer);
  const boolean = reader.tryTake(BOOLEAN);
  if (boolean !== undefined) return boolean === '1';
  return { token: reader.take(TOKEN, 'a value') };
}

/** The one spelling that the bytes have. */
function decodeBytes(text: string, reader: Reader): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw reader.fault('bytes that are not base64');
  return bytes;
}

function serializeParameters(parameters: Parameters): string {
  return [...parameters]
    .map(([key, value]) => (value === true ? `;${key}` : `;${key}=${serializeBareItem(value)}`))
    .join('');
}

function serializeBareItem(value: BareItem): string {
  if (Buffer.isBuffer(value)) return `:${value.toString('base64')}:`;
  if (typeof value === 'object') return value.token;
  if (typeof value === 'number') return String(value === 0 ? 0 : value); // there is no -0
  if (typeof value === 'boolean') return value ? '?1' : '?0';
  if (/[^\x20-\x7e]/.test(value)) throw invalidArgument('a text in a signature must be printable ASCII');
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}
