/** Structured fields: what is read and what is refused, and that writing and reading are each other's reverse. */
import fc from 'fast-check';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { describe, expect, it } from 'vitest';
import { parseDictionary, serializeDictionary, type BareItem, type Dictionary } from './structured-field.js';

describe('parseDictionary', () => {
  it.each([
    ['', ''],
    ['a=1', 'a=1'],
    ['  a=1,b=2  ', 'a=1, b=2'],
    ['a=-0', 'a=0'],
    ['a', 'a'],
    ['a=?1;x;y=?0', 'a;x;y=?0'],
    ['a="q\\"b\\\\c"', 'a="q\\"b\\\\c"'],
    ['a=:AAEC:', 'a=:AAEC:'],
    ['a=::', 'a=::'],
    ['a=tok/en', 'a=tok/en'],
    ['s=(  "@method"   "x";req );created=1; nonce="n"', 's=("@method" "x";req);created=1;nonce="n"'],
    ['s=()', 's=()'],
  ])('reads %j', (text, canonical) => {
    expect(serializeDictionary(parseDictionary(text, 'field'))).toBe(canonical);
  });

  it.each([
    'A=1',
    'a=',
    'a=1,',
    ',a=1',
    'a=1 b=2',
    'a=1, a=2',
    'a=1;x=1;x=2',
    'a=1.5',
    'a=1234567890123456',
    'a="unended',
    'a="\u00e9"',
    'a="tab\t"',
    'a="bad \\escape"',
    'a=:AA=:',
    'a=:AB==:',
    'a=:A-_A:',
    'a=:AAEC',
    'a=?2',
    'a=("x"',
    'a=("x""y")',
    'a=("x")("y")',
    'a=1\n',
    'a==1',
    'a;=1',
    'x'.repeat(17_000),
    Array.from({ length: 65 }, (_, index) => `k${index}`).join(','),
  ])('refuses %j', (text) => {
    expect(() => parseDictionary(text, 'field')).toThrow(BonafideError);
  });

  const bare: fc.Arbitrary<BareItem> = fc.oneof(
    fc.integer({ min: -999_999, max: 999_999 }).map((value) => (value === 0 ? 0 : value)),
    fc.string({ unit: 'grapheme-ascii' }),
    fc.boolean(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.stringMatching(/^[A-Za-z*][A-Za-z0-9:/._-]{0,9}$/).map((token) => ({ token })),
  );
  const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,9}$/);
  const parameters = fc.array(fc.tuple(key, bare), { maxLength: 4 }).map((pairs) => new Map(pairs));
  const item = fc.record({ value: bare, parameters }, { noNullPrototype: true });
  const list = fc.record({ items: fc.array(item, { maxLength: 4 }), parameters }, { noNullPrototype: true });
  const dictionary: fc.Arbitrary<Dictionary> = fc
    .array(fc.tuple(key, fc.oneof(item, list)), { maxLength: 5 })
    .map((pairs) => new Map(pairs));

  it('reads back whatever is written', () => {
    fc.assert(
      fc.property(dictionary, (value) => {
        expect(parseDictionary(serializeDictionary(value), 'field')).toEqual(value);
      }),
    );
  });

  it('reads its own writing as the same, or refuses, whatever it is given', () => {
    const noise = fc.oneof(
      fc.string(),
      fc.string({
        unit: fc.constantFrom('a', '1', '=', ';', ',', '"', '\\', '(', ')', ':', '?', ' ', '*', '-', '.'),
      }),
      dictionary.chain((value) => {
        const text = serializeDictionary(value);
        return fc
          .tuple(
            fc.nat(text.length),
            fc.constantFrom('', '"', ';', '=', ',', '(', ')', ':', ' ', '\n', '\u00e9'),
          )
          .map(([at, character]) => text.slice(0, at) + character + text.slice(at + 1));
      }),
    );
    fc.assert(
      fc.property(noise, (text) => {
        let parsed: Dictionary;
        try {
          parsed = parseDictionary(text, 'field');
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
          return;
        }
        const written = serializeDictionary(parsed);
        expect(serializeDictionary(parseDictionary(written, 'field'))).toBe(written);
      }),
      { numRuns: 2_000 },
    );
  });
});
