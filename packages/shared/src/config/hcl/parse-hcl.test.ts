import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../../errors/bonafide-error.js';
import { parseHclJson } from './hcl-json.js';
import { decodedGroup, DEEPEST, HclSyntaxError } from './hcl-tree.js';
import { parseHcl, readHcl } from './parse-hcl.js';

async function failure(source: string): Promise<string> {
  try {
    await parseHcl(source);
  } catch (error) {
    if (!(error instanceof HclSyntaxError)) throw error;
    return `${error.at?.line}:${error.at?.column} ${error.message}`;
  }
  return 'accepted';
}

describe('HCL', () => {
  it.each([
    ['', {}],
    ['a = 1', { a: 1 }],
    [
      'a = -12 b = 1.5 c = 1e3 d = 0x1F e = 017 f = -0.25',
      { a: -12, b: 1.5, c: 1000, d: 31, e: 15, f: -0.25 },
    ],
    ['a = true\nb = false', { a: true, b: false }],
    ['a = "x" # one\n// two\n/* three\n */ b = "y"', { a: 'x', b: 'y' }],
    ['a = "x\\ty\\"z\\\\ \\u00e9 \\x41"', { a: 'x\ty"z\\ é A' }],
    ['a = "${b "c"} \\n"', { a: '${b "c"} \n' }],
    ['a = [1, "b", true, [2], {c = 3},]', { a: [1, 'b', true, [2], { c: 3 }] }],
    ['a { b = 1, c = 2 }', { a: [{ b: 1, c: 2 }] }],
    ['a = { b = 1 }', { a: [{ b: 1 }] }],
    ['a "x" { b = 1 }\na "y" "z" {}', { a: [{ x: [{ b: 1 }] }, { y: [{ z: [{}] }] }] }],
    ['"a" = 1\na-b.c = 2', { a: 1, 'a-b.c': 2 }],
    ['a = <<EOF\none\n  two\nEOF\n', { a: 'one\n  two\n' }],
    ['a = <<-EOF\n  one\n   two\n  EOF\n', { a: 'one\n two\n' }],
    ['a = 1\r\nb {\r\n}\r\n', { a: 1, b: [{}] }],
  ])('%j is read', async (source, expected) => {
    expect(decodedGroup(await parseHcl(source))).toEqual(expected);
  });

  it.each([
    [
      'a = ',
      '1:5 expected a value: text in quotes, a number, true, false, [ or {, found the end of the file',
    ],
    ['a', '1:2 expected = or {, found the end of the file'],
    ['a = yes', '1:5 expected a value: text in quotes, a number, true, false, [ or {, found "yes"'],
    ['a {\n  b = 1\n', '3:1 expected a key or }, found the end of the file'],
    ['}', '1:1 expected a key, found "}"'],
    ['a = 1\n  b = "x\n', '2:7 this text does not end; expected a closing " in its line'],
    ['a = <<EOF\nx', '1:5 this text does not end; expected a line with EOF alone'],
    ['a "x" = 1', '1:7 expected {, found "="'],
    ['a = [1 2]', '1:8 expected , or ], found "2"'],
    ['a = 09', '1:5 09 is no number: with a leading 0 it is octal'],
    ['a = 9007199254740993', '1:5 9007199254740993 is too large a number'],
    ['a = "\\q"', '1:5 this text has \\q, which stands for no letter; write \\\\ for a backslash'],
    ['a = ;', '1:5 ";" begins nothing; expected a key, a value or }'],
    ['\ufeffa = 1', '1:1 "\ufeff" begins nothing; expected a key, a value or }'],
    ['a /* b', '1:3 "/" begins nothing; expected a key, a value or }'],
  ])('%j is refused at its place', async (source, expected) => {
    expect(await failure(source)).toBe(expected);
  });

  it('bounds how deep groups and lists are nested', async () => {
    const inside = (depth: number): string => `${'a {'.repeat(depth)}${'}'.repeat(depth)}`;
    expect(await failure(inside(DEEPEST))).toBe('accepted');
    expect(await failure(inside(DEEPEST + 1))).toMatch(/nested deeper than 32/);
    expect(await failure(`a = ${'['.repeat(100_000)}`)).toMatch(/nested deeper than 32/);
    expect(await failure(`${'a '.repeat(1000)}{}`)).toMatch(/nested deeper than 32/);
  });

  it('keeps every entry of a key that is there several times, with its line', () => {
    const tree = readHcl('a { b = 1 }\na { b = 2 }\n  a = 3');
    expect(tree.entries.map(({ key, at }) => [key, at.line, at.column])).toEqual([
      ['a', 1, 1],
      ['a', 2, 1],
      ['a', 3, 3],
    ]);
  });

  const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc
        .string({ unit: 'binary', maxLength: 12 })
        .filter((text) => !/[\0-\x1f\ufeff\ud800-\udfff$%]/.test(text)),
      fc.integer(),
      fc.boolean(),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), tie('value'), { maxKeys: 3 }),
    ),
  })).value;

  it('is read as HashiCorp reads it, whatever is written', async () => {
    const written = (item: unknown): string => {
      if (Array.isArray(item)) return `[${item.map(written).join(', ')}]`;
      if (typeof item !== 'object' || item === null) return JSON.stringify(item);
      return `{ ${Object.entries(item)
        .map(([key, inner]) => `${key} = ${written(inner)}`)
        .join('\n')} }`;
    };
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), value, { maxKeys: 4 }),
        async (file) => {
          const source = Object.entries(file)
            .map(([key, item]) => `${key} = ${written(item)}\n`)
            .join('');
          expect(await failure(source)).toBe('accepted');
        },
      ),
      { numRuns: 200 },
    );
  });

  it('never fails otherwise than by saying what is wrong, whatever it is given', () => {
    const sample = 'server {\n  a = "x${y}" # c\n  b "l" { c = [1, -2.5e3, true, <<E\nt\nE\n] }\n}\n';
    const mutated = fc
      .array(
        fc.tuple(
          fc.nat(sample.length),
          fc.constantFrom('', '"', '{', '}', '\\', '\n', '<<', '$', '0', 'é', '/*'),
        ),
        { maxLength: 4 },
      )
      .map((edits) =>
        edits.reduce((text, [at, edit]) => text.slice(0, at) + edit + text.slice(at + 1), sample),
      );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), mutated), (source) => {
        try {
          readHcl(source);
        } catch (error) {
          expect(error).toBeInstanceOf(HclSyntaxError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('HCL as JSON', () => {
  it('is read with the place of everything', () => {
    const tree = parseHclJson('{"a": {"b": [1, "x", true]},\n "c": null, "d": 1.5}');
    expect(decodedGroup(tree)).toEqual({ a: [{ b: [1, 'x', true] }], d: 1.5 });
    expect(tree.entries.at(-1)?.at).toEqual({ line: 2, column: 13 });
  });

  it.each([
    '[1]',
    '{"a": }',
    '{"a": 1,}',
    '{"a": [null]}',
    '"x"',
    `{"a":${'['.repeat(50)}${']'.repeat(50)}}`,
  ])('%j is refused', (source) => {
    expect(() => parseHclJson(source)).toThrow(BonafideError);
  });
});
