import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { parseDnsName } from './dns-name.js';

describe('a DNS name', () => {
  it.each([
    'com',
    'example.com',
    '*.example.com',
    'a-hello.com',
    'xn--ls8h.org',
    'XN--LS8H.org',
    '1.2.3.4',
    'Web.Example.ORG',
    `${'a'.repeat(63)}.com`,
    Array.from({ length: 127 }, () => 'a').join('.'),
  ])('may be %s', (text) => {
    expect(parseDnsName(text)).toBe(text);
  });

  it.each([
    ['', 'is empty'],
    ['.', 'ends with a dot'],
    ['example.com.', 'ends with a dot'],
    ['.example.com', 'has the label ""'],
    ['a..b', 'has the label ""'],
    [' ', 'has the label " "'],
    ['a b.com', 'has the label "a b"'],
    ['a_b.com', 'has the label "a_b"'],
    ['-hello.com', 'has the label "-hello"'],
    ['hello-.com', 'has the label "hello-"'],
    ['ab--c.com', 'third and fourth place'],
    ['*', 'wildcard'],
    ['*.', 'ends with a dot'],
    ['*.*.example.com', 'wildcard'],
    ['foo.*.bar', 'wildcard'],
    ['*foo.example.com', 'wildcard'],
    ['\u{1f4a9}.com', 'only letters'],
    ['a\u0000.com', 'only letters'],
    ['a.com\n', 'only letters'],
    [`${'a'.repeat(64)}.com`, 'label longer than 63'],
    [`${'a.'.repeat(127)}a`, 'longer than 253'],
  ])('may not be %j', (text, problem) => {
    expect(() => parseDnsName(text)).toThrow(problem);
  });

  it('is taken as it is or refused with words, whatever it is', () => {
    const nearly = fc.string({
      unit: fc.constantFrom('a', 'Z', '0', '-', '.', '*', '_', ' ', 'é'),
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string(), fc.string({ unit: 'binary' })), (text) => {
        try {
          expect(parseDnsName(text)).toBe(text);
          expect(text).toMatch(/^(\*\.)?[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$/);
        } catch (error) {
          if (!(error instanceof BonafideError)) throw error;
          expect(error.reason).toBe('invalid_argument');
        }
      }),
    );
  });
});
