import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import {
  agentId,
  isAgentId,
  isReserved,
  parseSpiffeId,
  pathOf,
  serverId,
  spiffeIdFromParts,
  trustDomainId,
  trustDomainOf,
} from './spiffe-id.js';
import { parseTrustDomain, parseTrustDomainOrId } from './trust-domain.js';

const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
const inTrustDomain = /^[a-z0-9._-]$/;
const inPath = /^[a-zA-Z0-9._-]$/;

function accepts(text: string): boolean {
  try {
    parseSpiffeId(text);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(BonafideError);
    expect((error as BonafideError).reason).toBe('invalid_argument');
    return false;
  }
}

describe('a SPIFFE ID', () => {
  it.each([
    'spiffe://example.org',
    'spiffe://example.org/web',
    'spiffe://example.org/ns/default/sa/web',
    'spiffe://1.2.3.4/service',
    'spiffe://a_b-c.d/A.b_C-9',
    'spiffe://example.org/...',
    'spiffe://example.org/.hidden/a..b',
  ])('accepts %s', (text) => {
    expect(parseSpiffeId(text)).toBe(text);
  });

  it.each([
    ['', 'empty'],
    ['spiffe://', 'empty'],
    ['spiffe:///path', 'empty'],
    ['http://example.org/web', 'spiffe://'],
    ['SPIFFE://example.org', 'spiffe://'],
    ['spiffe://example.org/', 'empty segment'],
    ['spiffe://example.org//web', 'empty segment'],
    ['spiffe://example.org/web/', 'empty segment'],
    ['spiffe://example.org/./web', "'.' segment"],
    ['spiffe://example.org/../web', "'..' segment"],
    ['spiffe://Example.org/web', "'E'"],
    ['spiffe://user@example.org/web', "'@'"],
    ['spiffe://example.org:8080/web', "':'"],
    ['spiffe://example.org?q', "'?'"],
    ['spiffe://example.org/web?q=1', "'?'"],
    ['spiffe://example.org/web#f', "'#'"],
    ['spiffe://example.org/%77eb', "'%'"],
    ['spiffe://example.org/w\u00e9b', 'U+00E9'],
    [' spiffe://example.org', 'spiffe://'],
  ])('refuses %j and says why', (text, why) => {
    expect(() => parseSpiffeId(text)).toThrow(why);
  });

  it('treats every byte right in every class of position', () => {
    for (const byte of bytes) {
      const domainByte = inTrustDomain.test(byte);
      const pathByte = inPath.test(byte);
      expect([byte, accepts(`spiffe://${byte}a.org/x`)]).toEqual([byte, domainByte]);
      expect([byte, accepts(`spiffe://a${byte}b.org/x`)]).toEqual([byte, domainByte || byte === '/']);
      expect([byte, accepts(`spiffe://a.org${byte}`)]).toEqual([byte, domainByte]);
      expect([byte, accepts(`spiffe://a.org/${byte}x`)]).toEqual([byte, pathByte]);
      expect([byte, accepts(`spiffe://a.org/x${byte}y`)]).toEqual([byte, pathByte || byte === '/']);
      expect([byte, accepts(`spiffe://a.org/x${byte}`)]).toEqual([byte, pathByte]);
      expect([byte, accepts(`${byte}spiffe://a.org/x`)]).toEqual([byte, false]);
      expect([byte, accepts(`spiff${byte}://a.org/x`)]).toEqual([byte, byte === 'e']);
    }
  });

  it('is at most 2048 bytes, its trust domain at most 255', () => {
    const longest = `spiffe://a.org/${'x'.repeat(2048 - 'spiffe://a.org/'.length)}`;
    expect(accepts(longest)).toBe(true);
    expect(() => parseSpiffeId(`${longest}x`)).toThrow('2048');
    expect(accepts(`spiffe://${'a'.repeat(255)}/x`)).toBe(true);
    expect(() => parseSpiffeId(`spiffe://${'a'.repeat(256)}/x`)).toThrow('255');
  });

  it('comes apart and together again', () => {
    const segment = fc.stringMatching(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}$/);
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z0-9._-]{1,40}$/),
        fc.array(segment, { maxLength: 6 }),
        (domain, segments) => {
          const path = segments.map((part) => `/${part}`).join('');
          const id = spiffeIdFromParts(domain, path);
          expect(trustDomainOf(id)).toBe(domain);
          expect(pathOf(id)).toBe(path);
          expect(parseSpiffeId(id)).toBe(id);
        },
      ),
    );
  });

  it('answers to any text with an ID or an invalid argument', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ unit: 'binary' }),
          fc.string().map((s) => `spiffe://${s}`),
        ),
        (text) => {
          accepts(text);
        },
      ),
    );
  });

  it('refuses a path without a leading slash', () => {
    expect(() => spiffeIdFromParts('example.org', 'web')).toThrow('slash');
  });
});

describe('well-known IDs', () => {
  const domain = parseTrustDomain('example.org');

  it('are those of SPIRE', () => {
    expect(serverId(domain)).toBe('spiffe://example.org/spire/server');
    expect(agentId(domain, 'join_token', 'abc')).toBe('spiffe://example.org/spire/agent/join_token/abc');
    expect(trustDomainId(domain)).toBe('spiffe://example.org');
  });

  it('are reserved, and only they', () => {
    expect(isReserved(serverId(domain))).toBe(true);
    expect(isReserved(parseSpiffeId('spiffe://example.org/spire'))).toBe(true);
    expect(isReserved(parseSpiffeId('spiffe://example.org/spirea'))).toBe(false);
    expect(isAgentId(agentId(domain, 'tpm', 'x'))).toBe(true);
    expect(isAgentId(serverId(domain))).toBe(false);
  });
});

describe('a trust domain', () => {
  it('is read from a bare name or an ID without a path', () => {
    expect(parseTrustDomainOrId('spiffe://example.org')).toBe('example.org');
    expect(parseTrustDomainOrId('example.org')).toBe('example.org');
    expect(() => parseTrustDomainOrId('spiffe://example.org/web')).toThrow("'/'");
  });
});
