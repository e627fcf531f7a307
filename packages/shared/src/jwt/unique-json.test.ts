import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { parseUniqueJsonObject } from './unique-json.js';

const parse = (text: string): unknown => parseUniqueJsonObject(Buffer.from(text), 'text');

describe('parseUniqueJsonObject', () => {
  it.each([
    ['the same name in two objects', '{"a": {"b": 1}, "c": {"b": 1}}'],
    ['a name beside a value that reads the same', '{"a": "a", "b": ["a", "a"]}'],
    ['a value that looks like names', '{"a": "\\"a\\":1,\\"a\\":2"}'],
    ['names that differ in case', '{"sub": 1, "Sub": 2}'],
    ['an object for each element', '{"a": [{"b": 1}, {"b": 1}]}'],
    ['brackets in text', '{"a": "{[{[{[{[{[{[{[{[{[{[", "}": "]"}'],
    ['a backslash at the end of text', '{"a\\\\": "\\\\", "b": 1}'],
    ['sixteen levels', `{"a":${'['.repeat(15)}${']'.repeat(15)}}`],
  ])('reads %s', (_name, text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['a name twice', '{"sub": 1, "sub": 2}', 'has "sub" twice'],
    ['a name twice, once escaped', '{"sub": 1, "\\u0073ub": 2}', 'has "sub" twice'],
    ['a name twice, escaped in two ways', '{"\\/": 1, "\\u002f": 2}', 'has "/" twice'],
    ['an empty name twice', '{"": 1, "": 2}', 'has "" twice'],
    ['__proto__ twice', '{"__proto__": 1, "__proto__": 2}', 'has "__proto__" twice'],
    ['a name twice in an inner object', '{"cnf": {"jwk": {"kty": 1, "kty": 1}}}', 'has "kty" twice'],
    ['a name twice in an array', '{"a": [1, {"b": 1, "b": 1}]}', 'has "b" twice'],
    ['a name twice around an object', '{"a": 1, "b": {"a": 1}, "a": 1}', 'has "a" twice'],
    ['a name twice with space before its colon', '{"a" \n\t:1,"a"\r :2}', 'has "a" twice'],
    ['seventeen levels', `{"a":${'['.repeat(16)}${']'.repeat(16)}}`, 'nested too deeply'],
    ['an array', '[]', 'is not a JSON object'],
    ['null', 'null', 'is not a JSON object'],
    ['text', '"{}"', 'is not a JSON object'],
    ['nothing', '', 'is not JSON'],
    ['two objects', '{}{}', 'is not JSON'],
    ['a byte order mark', '\ufeff{}', 'is not JSON'],
    ['NaN', '{"exp": NaN}', 'is not JSON'],
    ['Infinity', '{"exp": Infinity}', 'is not JSON'],
    ['a comment', '{} // hello', 'is not JSON'],
    ['a trailing comma', '{"a": 1,}', 'is not JSON'],
    ['single quotes', "{'a': 1}", 'is not JSON'],
    ['a zero byte', '{}\0', 'is not JSON'],
  ])('refuses %s', (_name, text, problem) => {
    expect(() => parse(text)).toThrow(problem);
  });

  it.each(['ff', '7b22c0af22', '7b22eda08022', '7b22f4908080'])('refuses %s, which is not UTF-8', (hex) => {
    expect(() => parseUniqueJsonObject(Buffer.from(hex, 'hex'), 'text')).toThrow('is not UTF-8');
  });

  it('reads any object that JSON can say, and never one that has a name twice', () => {
    const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3 }));
    fc.assert(
      fc.property(object, (value) => {
        const text = JSON.stringify(value);
        expect(parse(text)).toEqual(JSON.parse(text));
        const [name] = Object.keys(value);
        if (name === undefined) return;
        expect(() => parse(`${text.slice(0, -1)},${JSON.stringify(name)}:0}`)).toThrow('twice');
      }),
    );
  });

  const size = 64 * 1024;
  it.each([
    ['one long text', `{"a":"${'x'.repeat(size)}"}`],
    ['one long text of escapes', `{"a":"${'\\"'.repeat(size / 2)}"}`],
    ['one long name', `{"${'x'.repeat(size)}":1}`],
    ['spaces where a colon could be', `{"a":["a"${' '.repeat(size)},"a"]}`],
    ['many texts with spaces after them', `{"a":[${`"a"${' '.repeat(250)},`.repeat(256)}1]}`],
    ['many names', `{${Array.from({ length: size / 8 }, (_, index) => `"${index}":1`).join(',')}}`],
    ['brackets that never close', '['.repeat(size)],
    ['objects that never close', '{"a":'.repeat(size / 5)],
    ['brackets that close', `{"a":${'['.repeat(size / 2)}${']'.repeat(size / 2)}}`],
    ['quotes', '"'.repeat(size)],
    ['backslashes', `{"${'\\'.repeat(size)}":1}`],
    ['one long number', `{"a":${'9'.repeat(size)}}`],
  ])('is done with 64 KiB of %s in no time', (_name, text) => {
    const before = process.cpuUsage(); // not the time: the machine may have other work
    try {
      parse(text);
    } catch (error) {
      expect(error).toBeInstanceOf(BonafideError);
    }
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(500);
  });
});
