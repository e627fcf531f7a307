import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestName } from './nearest-name.js';

const KEYS = ['trust_domain', 'bind_address', 'bind_port', 'data_dir'];

describe('nearestName', () => {
  it.each([
    ['bind_prot', 'bind_port'],
    ['BIND_PORT', 'bind_port'],
    ['trust_domian', 'trust_domain'],
    ['datadir', 'data_dir'],
    ['colour', undefined],
    ['', undefined],
    ['x'.repeat(1_000_000), undefined],
  ])('of %s is %s', (typed, meant) => {
    expect(nearestName(typed, KEYS)).toBe(meant);
  });

  it('finds a known name itself, and any with one letter changed', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KEYS), fc.nat(7), fc.constantFrom('', 'x'), (name, at, letter) => {
        expect(nearestName(name, KEYS)).toBe(name);
        expect(nearestName(name.slice(0, at) + letter + name.slice(at + 1), KEYS)).toBe(name);
      }),
    );
  });
});
