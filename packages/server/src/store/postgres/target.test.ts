import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { describeTarget, parsePostgresTarget } from './target.js';

/** What may stand in a value: no line break and no zero byte. */
const value = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => !/[\0\r\n]/.test(text));
const spaces = fc.constantFrom(' ', '  ', '\t', '\n');

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

function unquoted(text: string): string {
  return text.replace(/[\\'\s]/g, '\\$&');
}

it.each([
  ['quoted', quoted],
  ['with backslashes', unquoted],
])('keywords and values are read as they were written, %s', (_how, written) => {
  fc.assert(
    fc.property(value, value, value, spaces, (user, password, database, space) => {
      const text = ['user', 'password', 'dbname']
        .map((name, index) => `${name} = ${written([user, password, database][index] ?? '')}`)
        .join(space);
      expect(parsePostgresTarget(text)).toMatchObject({ user, password, database });
    }),
  );
});

it('a url is read as it was written', () => {
  fc.assert(
    fc.property(value, value, value, fc.integer({ min: 1, max: 65_535 }), (user, password, name, port) => {
      // A path of dots alone is one that leads elsewhere, however it is encoded.
      const database = `d${name}`;
      const [a, b, c] = [user, password, database].map(encodeURIComponent);
      const target = parsePostgresTarget(`postgres://${a}:${b}@db.example.org:${port}/${c}?sslmode=disable`);
      expect(target).toMatchObject({ user, password, database, port, host: 'db.example.org' });
      expect(describeTarget({ ...target, database: 'd' })).toBe(`database d at db.example.org:${port}`);
    }),
  );
});

it('whatever is refused is refused in words that do not quote it', () => {
  const pieces = fc.array(
    fc.constantFrom(
      ...[
        'postgres://',
        'postgresql://',
        'user',
        '=',
        "'",
        '\\',
        ' ',
        '@',
        ':',
        '/',
        '?',
        '&',
        '#',
        '%',
        '%ff',
        '[',
        ']',
      ],
      ...['host=h', 'dbname=d', 'user=u', 'port=0', 'sslmode=x', 'sslcert=c', 'Hunter2Secret'],
    ),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        pieces.map((parts) => parts.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        const withPassword = `${text} password=Hunter2Secret`;
        for (const each of [text, withPassword]) {
          try {
            parsePostgresTarget(each);
          } catch (error) {
            expect(error).toBeInstanceOf(BonafideError);
            expect(error).toMatchObject({ reason: 'invalid_argument' });
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.constantFrom('?sslmode=prefer', '?x=y', ':0', '#', ' ', '?port=z', '%zz'), (end) => {
      expect(() => parsePostgresTarget(`postgres://u:Hunter2Secret@h/d${end}`)).not.toThrow(/Hunter2Secret/);
    }),
  );
});

it('a text without an end is refused before it is read', () => {
  expect(() => parsePostgresTarget(`dbname='${'x'.repeat(5000)}`)).toThrow('too long');
});
