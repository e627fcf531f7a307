import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkHostName, parseHostName, parseHostNamePattern } from './host-name.js';

describe('parseHostName', () => {
  it.each([
    ['p1.example.com', 'p1.example.com'],
    ['P1.Example.COM', 'p1.example.com'],
    ['node-7', 'node-7'],
    ['1.2.3.4.example', '1.2.3.4.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ])('reads %s', (text, expected) => {
    expect(parseHostName(text)).toBe(expected);
  });

  it.each([
    '',
    'localhost',
    'LOCALHOST',
    'x.localhost',
    '127.0.0.1',
    '2130706433',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '0x7f000001',
    '127.1',
    'example.0x7f',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
    'p1.example.com.',
    'localhost.',
    '.example.com',
    'p1..example.com',
    'user@p1.example.com',
    'user:password@p1.example.com',
    'p1.example.com:22',
    'p1.example.com/path',
    'p1.example.com?query',
    'p1.example.com#fragment',
    'p1.example.com\\@evil',
    'p1.example.com%00',
    'p1.example.com\r\nx: y',
    ' p1.example.com',
    'p1_x.example.com',
    'ｌocalhost',
    '①②⑦.0.0.1',
    'p1。example。com',
    'a'.repeat(64),
    `${'a.'.repeat(127)}a`,
    'ﬀ.example',
    '\u212a.example',
  ])('refuses %j', (text) => {
    expect(() => parseHostName(text)).toThrow();
  });

  it('reads only names that a URL reads as the same name, and none as an address', () => {
    const characters = fc.constantFrom(...'abzx019.-_:@/%[]\\#?'.split(''));
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: characters, maxLength: 24 }), fc.domain(), fc.ipV4Extended()),
        (text) => {
          let hostname: string;
          try {
            hostname = parseHostName(text);
          } catch {
            return;
          }
          const url = new URL(`http://${hostname}:8080/`);
          expect(url.hostname).toBe(hostname);
          expect(url.username).toBe('');
          expect(url.hostname).not.toMatch(/^[\d.]+$/);
        },
      ),
      { numRuns: 5_000 },
    );
  });
});

describe('checkHostName', () => {
  const check =
    (hostname: string, ...patterns: readonly string[]) =>
    () => {
      checkHostName(hostname, patterns.map(parseHostNamePattern));
    };

  it('allows every name where no pattern is given', () => {
    expect(check('anything.example')).not.toThrow();
  });

  it.each([
    ['p1.example.com', 'p[0-9]\\.example\\.com'],
    ['p1.example.com', 'other|p1\\.example\\.com'],
    ['p1.example.com', '^p1\\.example\\.com$'],
    ['p1.example.com', '.*\\.EXAMPLE\\.com'],
  ])('allows %s by %s', (hostname, pattern) => {
    expect(check(hostname, 'nothing', pattern)).not.toThrow();
  });

  it.each([
    ['p1.example.com.evil.org', 'p[0-9]\\.example\\.com'],
    ['evil-p1.example.com', 'p[0-9]\\.example\\.com'],
    ['p1.example.com', 'p1'],
    ['evilbexample.com', 'a|b'],
  ])('refuses %s by %s, which must match the whole name', (hostname, pattern) => {
    expect(check(hostname, pattern)).toThrow(/not allowed/);
  });

  it('gives up on a pattern that a name keeps busy', () => {
    expect(check(`${'a'.repeat(60)}.org`, '([a-z]+)*\\.example')).toThrow(/takes too long/);
  });

  it('refuses a pattern that is none', () => {
    expect(() => parseHostNamePattern('p[')).toThrow(/no regular expression/);
    expect(() => parseHostNamePattern('a)|(b')).toThrow(/no regular expression/);
  });
});
