import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SubsetIndex } from './subset-index.js';
import { SupersetIndex } from './superset-index.js';

const member = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const set = fc.uniqueArray(member, { minLength: 1, maxLength: 5 }).map((members) => members.sort());
const steps = fc.array(fc.record({ members: set, isRemoval: fc.boolean() }), { maxLength: 60 });
const query = fc.uniqueArray(member, { maxLength: 6 });

function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((each) => outer.includes(each));
}

/** Applies the steps to an index, and to a list that stands for the truth. */
function applySteps(
  list: readonly { readonly members: readonly string[]; readonly isRemoval: boolean }[],
  index: {
    add(members: readonly string[], item: number): void;
    remove(members: readonly string[], item: number): void;
  },
): ReadonlyMap<number, readonly string[]> {
  const present = new Map<number, readonly string[]>();
  for (const [item, { members, isRemoval }] of list.entries()) {
    if (!isRemoval) {
      present.set(item, members);
      index.add(members, item);
      continue;
    }
    const [first] = present;
    if (first === undefined) continue;
    present.delete(first[0]);
    index.remove(first[1], first[0]);
  }
  return present;
}

describe('SubsetIndex', () => {
  it('finds exactly the stored subsets after any additions and removals', () => {
    fc.assert(
      fc.property(steps, query, (list, asked) => {
        const index = new SubsetIndex<number>();
        const present = applySteps(list, index);
        const expected = [...present].filter(([, members]) => isSubset(members, asked)).map(([item]) => item);
        expect([...index.subsetsOf(new Set(asked))].sort((a, b) => a - b)).toEqual(expected);
      }),
    );
  });

  it('looks at few sets for a caller with few selectors, however many are stored that share its commonest one', () => {
    const index = new SubsetIndex<number>();
    const count = 20_000;
    for (let item = 0; item < count; item += 1) index.add(['unix:uid:0', `x:${item}`], item);
    let looked = 0;
    const asked = new (class extends Set<string> {
      override has(value: string): boolean {
        looked += 1;
        return super.has(value);
      }
    })(['unix:uid:0', 'x:77']);
    expect([...index.subsetsOf(asked)]).toEqual([77]);
    expect(looked).toBeLessThan(20);
  });
});

describe('SupersetIndex', () => {
  it('finds exactly the stored supersets after any additions and removals', () => {
    fc.assert(
      fc.property(steps, set, (list, asked) => {
        const index = new SupersetIndex<number>();
        const present = applySteps(list, {
          add: (members, item) => {
            index.add(new Set(members), item);
          },
          remove: (_members, item) => {
            index.remove(item);
          },
        });
        const expected = [...present].filter(([, members]) => isSubset(asked, members)).map(([item]) => item);
        expect([...index.supersetsOf(asked)].sort((a, b) => a - b)).toEqual(expected);
      }),
    );
  });
});
