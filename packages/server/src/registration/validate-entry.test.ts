import { describe, expect, it } from 'vitest';
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { exampleEntry, exampleTrustDomain } from '../store/example-records.js';
import { MAX_HINT_BYTES, MAX_LIST_LENGTH, validateEntry, validateEntryId } from './validate-entry.js';

const trustDomain = exampleTrustDomain('example.org');
const id = parseSpiffeId;
const selector = (type: string, value: string): { readonly type: string; readonly value: string } => ({
  type,
  value,
});
const many = <T>(make: (index: number) => T): readonly T[] =>
  Array.from({ length: MAX_LIST_LENGTH + 1 }, (_, index) => make(index));

describe('an entry', () => {
  it.each<[string, Partial<RegistrationEntryContent>]>([
    ['nothing but what is required', {}],
    ['the server as parent', { parentId: id('spiffe://example.org/spire/server') }],
    ['a parent that is another entry', { parentId: id('spiffe://example.org/prod') }],
    [
      'its own ID as parent',
      { parentId: id('spiffe://example.org/web'), spiffeId: id('spiffe://example.org/web') },
    ],
    ['a path that begins like a reserved one', { spiffeId: id('spiffe://example.org/spirens') }],
    ['times to live', { x509SvidTtlSeconds: 1, jwtSvidTtlSeconds: 2 ** 31 - 1 }],
    ['DNS names', { dnsNames: ['web.example.org', '*.example.org'] }],
    ['its own trust domain among the federated', { federatesWith: [trustDomain] }],
    ['an expiry in the past', { expiresAt: new Date(0) }],
    ['the longest hint', { hint: 'x'.repeat(MAX_HINT_BYTES) }],
    ['a stored SVID', { storesSvid: true, selectors: [selector('a', '1'), selector('a', '2')] }],
  ])('may have %s', (_what, changes) => {
    validateEntry({ ...exampleEntry(), ...changes }, trustDomain);
  });

  it.each<[string, Partial<RegistrationEntryContent>, string]>([
    [
      'a foreign SPIFFE ID',
      { spiffeId: id('spiffe://other.example/web') },
      'SPIFFE id: spiffe://other.example/web is not a member',
    ],
    [
      'a SPIFFE ID without a path',
      { spiffeId: id('spiffe://example.org') },
      'SPIFFE id: spiffe://example.org has no path',
    ],
    ["an agent's SPIFFE ID", { spiffeId: id('spiffe://example.org/spire/agent/x/1') }, 'paths under /spire'],
    ["the server's SPIFFE ID", { spiffeId: id('spiffe://example.org/spire/server') }, 'paths under /spire'],
    [
      'a SPIFFE ID that was never parsed',
      { spiffeId: 'spiffe://example.org/a b' as SpiffeId },
      'SPIFFE id: ',
    ],
    ['a foreign parent', { parentId: id('spiffe://other.example/node') }, 'parent id: '],
    ['a parent without a path', { parentId: id('spiffe://example.org') }, 'parent id: '],
    ['no selectors', { selectors: [] }, 'no selectors'],
    ['too many selectors', { selectors: many((index) => selector('a', String(index))) }, 'at most 1000'],
    ['a selector without a type', { selectors: [selector('', 'a')] }, 'selector type is empty'],
    ['a selector type with a colon', { selectors: [selector('a:b', 'c')] }, 'has a colon'],
    ['a selector without a value', { selectors: [selector('a', '')] }, 'empty value'],
    ['a negative time to live', { x509SvidTtlSeconds: -1 }, 'X.509-SVID time to live is -1'],
    ['a time to live of zero', { jwtSvidTtlSeconds: 0 }, 'JWT-SVID time to live is 0'],
    ['half a second to live', { jwtSvidTtlSeconds: 0.5 }, 'JWT-SVID time to live'],
    ['a time to live beyond 31 bits', { x509SvidTtlSeconds: 2 ** 31 }, 'X.509-SVID time to live'],
    ['a bad DNS name', { dnsNames: ['a..b'] }, 'DNS name "a..b"'],
    ['a DNS name twice', { dnsNames: ['a', 'b', 'a'] }, '"a" twice among its DNS names'],
    ['too many DNS names', { dnsNames: many((index) => `n${index}`) }, 'at most 1000'],
    [
      'a federated trust domain twice',
      { federatesWith: [trustDomain, trustDomain] },
      'twice among its federated',
    ],
    [
      'a hint that is too long',
      { hint: 'é'.repeat(MAX_HINT_BYTES / 2 + 1) },
      'hint is longer than 1024 bytes',
    ],
    ['an expiry that is no time', { expiresAt: new Date(NaN) }, 'expiry is not a time'],
    [
      'a stored SVID under two types',
      { storesSvid: true, selectors: [selector('a', '1'), selector('b', '1')] },
      'of one type',
    ],
    ['a stored SVID without prefetch', { storesSvid: true, disablesX509SvidPrefetch: true }, 'prefetch'],
  ])('may not have %s', (_what, changes, problem) => {
    expect(() => {
      validateEntry({ ...exampleEntry(), ...changes }, trustDomain);
    }).toThrow(
      expect.objectContaining({
        reason: 'invalid_argument',
        message: expect.stringContaining(problem) as unknown,
      }),
    );
  });
});

describe('an entry id', () => {
  it.each(['a', 'A.b_c-9', 'x'.repeat(255)])('may be %s', (text) => {
    validateEntryId(text);
  });

  it('may have no byte but letters, digits, dots, dashes and underscores', () => {
    for (let byte = 0; byte < 256; byte += 1) {
      const character = String.fromCharCode(byte);
      const check = (): void => {
        validateEntryId(`a${character}b`);
      };
      if (/[a-zA-Z0-9._-]/.test(character)) check();
      else expect(check).toThrow('may have only');
    }
    expect(() => {
      validateEntryId('');
    }).toThrow('is empty');
    expect(() => {
      validateEntryId('x'.repeat(256));
    }).toThrow('longer than 255');
  });
});
