import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DueQueue } from './due-queue.js';

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const step = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key, at: fc.nat(100) }),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc.record({ kind: fc.constant('take' as const), now: fc.nat(100) }),
  fc.record({ kind: fc.constant('bring forward' as const), ms: fc.nat(50) }),
);

describe('DueQueue', () => {
  it('gives out each key at its latest time, earliest first, whatever was set and deleted before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new DueQueue();
        const truth = new Map<string, number>();
        for (const each of steps) {
          if (each.kind === 'set') {
            queue.set(each.key, new Date(each.at));
            truth.set(each.key, each.at);
          } else if (each.kind === 'delete') {
            queue.delete(each.key);
            truth.delete(each.key);
          } else if (each.kind === 'bring forward') {
            queue.bringForward(each.ms);
            for (const [name, at] of truth) truth.set(name, at - each.ms);
          } else {
            const due = [...truth].filter(([, at]) => at <= each.now);
            const taken = queue.take(new Date(each.now));
            expect([...taken].sort()).toEqual(due.map(([name]) => name).sort());
            const times = taken.map((name) => truth.get(name) ?? NaN);
            expect(times).toEqual([...times].sort((a, b) => a - b));
            for (const [name] of due) truth.delete(name);
          }
          const next = truth.size === 0 ? undefined : Math.min(...truth.values());
          expect(queue.next()?.getTime()).toBe(next);
        }
      }),
    );
  });

  it('does not grow when a key is set over and over', () => {
    const queue = new DueQueue();
    for (let at = 0; at < 100_000; at += 1) queue.set('a', new Date(at));
    expect(queue.next()).toEqual(new Date(99_999));
    expect(queue.take(new Date(100_000))).toEqual(['a']);
    expect(queue.next()).toBeUndefined();
  });
});
