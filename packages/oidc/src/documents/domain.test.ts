import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowedHost } from './domain.js';

const domains = new Set(['oidc.example.org', 'localhost']);

describe('allowedHost', () => {
  it.each([
    ['oidc.example.org', 'oidc.example.org'],
    ['OIDC.Example.org', 'oidc.example.org'],
    ['oidc.example.org:8443', 'oidc.example.org:8443'],
    ['localhost:80', 'localhost:80'],
    ['example.org', undefined],
    ['oidc.example.org.', undefined],
    ['oidc.example.org:', undefined],
    ['oidc.example.org:x', undefined],
    ['oidc.example.org, evil.example', undefined],
    ['oidc.example.org/..', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s: %s', (host, expected) => {
    expect(allowedHost(host, domains)).toBe(expected);
  });

  it('lets nothing through that is not a domain of the list and perhaps a port', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const host of [text, `oidc.example.org${text}`, `${text}oidc.example.org`]) {
          const allowed = allowedHost(host, domains);
          if (allowed !== undefined) expect(allowed).toMatch(/^(oidc\.example\.org|localhost)(:\d{1,5})?$/);
        }
      }),
    );
  });
});
