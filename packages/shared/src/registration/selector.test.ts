import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createSelector,
  formatSelector,
  isSubset,
  matchesSet,
  MAX_SELECTOR_BYTES,
  normalizeSelectors,
  parseSelector,
} from './selector.js';

describe('a selector', () => {
  it('is split at its first colon', () => {
    expect(parseSelector('k8s:pod-label:app:web')).toEqual({ type: 'k8s', value: 'pod-label:app:web' });
  });

  it.each([
    ['', 'no colon'],
    ['unix', 'no colon'],
    [':uid', 'type is empty'],
    ['unix:', 'empty value'],
    [`unix:${'x'.repeat(MAX_SELECTOR_BYTES)}`, 'longer than'],
  ])('refuses %j', (text, why) => {
    expect(() => parseSelector(text)).toThrow(why);
  });

  it('refuses a type with a colon', () => {
    expect(() => createSelector('a:b', 'c')).toThrow('colon');
  });

  it('reads back what it writes', () => {
    const selector = fc.record({
      type: fc.stringMatching(/^[^:]{1,8}$/),
      value: fc.string({ minLength: 1 }),
    });
    fc.assert(
      fc.property(selector, (one) => {
        expect(parseSelector(formatSelector(one))).toEqual(one);
      }),
    );
  });

  it('is normalized to one order without repeats', () => {
    const a = parseSelector('unix:uid:1');
    const b = parseSelector('unix:gid:1');
    expect(normalizeSelectors([a, b, a])).toEqual([b, a]);
    expect(normalizeSelectors([b, a])).toEqual(normalizeSelectors([a, b]));
  });
});

describe('matching sets', () => {
  const set = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 }).map((items) => new Set(items));

  it('agrees with the definitions of the four behaviours', () => {
    fc.assert(
      fc.property(set, set, (candidate, named) => {
        const shared = [...candidate].filter((item) => named.has(item)).length;
        expect(matchesSet(candidate, named, 'subset')).toBe(shared === candidate.size);
        expect(matchesSet(candidate, named, 'superset')).toBe(shared === named.size);
        expect(matchesSet(candidate, named, 'exact')).toBe(
          shared === candidate.size && shared === named.size,
        );
        expect(matchesSet(candidate, named, 'any')).toBe(shared > 0);
        expect(isSubset(candidate, named)).toBe(shared === candidate.size);
      }),
    );
  });
});
