import { describe, expect, it } from 'vitest';
import { parseDomain } from './domain-name.js';

describe('parseDomain', () => {
  it.each(['oidc.example.org', 'localhost', 'xn--bcher-kva.example', '127.example'])('takes %s', (text) => {
    expect(parseDomain(text)).toBe(text);
  });

  it.each([
    '',
    'A.example',
    '*.example',
    'a.example:443',
    '-a.example',
    'a..example',
    'a_b.example',
    'bücher.example',
    `${'a'.repeat(64)}.example`,
    'a.example.',
  ])('refuses %s', (text) => {
    expect(() => parseDomain(text)).toThrow('is no domain name');
  });
});
