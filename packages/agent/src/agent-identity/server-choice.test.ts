import { describe, expect, it } from 'vitest';
import { ServerChoice } from './server-choice.js';
import type { ServerAddress } from './server-address.js';

const A: ServerAddress = { host: '10.0.0.1', port: 1 };
const B: ServerAddress = { host: '10.0.0.2', port: 1 };
const C: ServerAddress = { host: '10.0.0.3', port: 1 };

const choose = (...addresses: readonly ServerAddress[]): ServerChoice =>
  new ServerChoice({ addresses, random: Math.random });

function countBy(choices: readonly ServerChoice[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { current } of choices) counts.set(current.host, (counts.get(current.host) ?? 0) + 1);
  return counts;
}

describe('ServerChoice', () => {
  it('spreads a thousand agents evenly, and those of a dead server over the others', () => {
    const agents = Array.from({ length: 1000 }, () => choose(A, B, C));
    for (const count of countBy(agents).values()) expect(count).toBeGreaterThan(230);
    const stranded = agents.filter(({ current }) => current === A);
    for (const agent of stranded) agent.leave(A);
    const landed = countBy(stranded);
    expect(landed.get(A.host)).toBeUndefined();
    expect(landed.get(B.host)).toBeGreaterThan(stranded.length / 4);
    expect(landed.get(C.host)).toBeGreaterThan(stranded.length / 4);
  });

  it('asks every server before it asks one again, and tells when there is none left that might work', () => {
    const choice = choose(A, B, C);
    const first = choice.current;
    expect(choice.leave(first)).toBe(true);
    const second = choice.current;
    expect(choice.leave(second)).toBe(true);
    const third = choice.current;
    expect(new Set([first, second, third]).size).toBe(3);
    expect(choice.leave(third)).toBe(false);
    expect(choice.current).not.toBe(third);
  });

  it('tries servers again that had failed, once the present one has worked', () => {
    const choice = choose(A, B);
    const first = choice.current;
    choice.leave(first);
    const second = choice.current;
    choice.confirm(first); // a late answer
    choice.confirm(second);
    expect(choice.leave(second)).toBe(true);
    expect(choice.current).toBe(first);
  });

  it('does not go back to a server that is about to stop', () => {
    const choice = choose(A, B, C);
    const stopping = choice.current;
    const [next = stopping] = [A, B, C].filter((address) => address !== stopping);
    choice.take(next);
    choice.leave(next);
    expect([stopping, next]).not.toContain(choice.current);
    expect(choice.leave(choice.current)).toBe(false);
  });

  it('stays when a call that began at an earlier server fails late', () => {
    const choice = choose(A, B);
    const first = choice.current;
    choice.leave(first);
    const second = choice.current;
    expect(choice.leave(first)).toBe(true);
    expect(choice.current).toBe(second);
  });

  it('knows when there is nowhere else to go', async () => {
    const alone = choose(A, { ...A });
    expect(alone.leave(alone.current)).toBe(false);
    expect(alone.current).toEqual(A);
    expect(await alone.alternatives()).toEqual([]);
    expect(await choose({ host: 'no-such-host.invalid', port: 1 }).alternatives()).toEqual([]);
    const two = choose(A, B);
    expect(await two.alternatives()).toEqual([two.current === A ? B : A]);
  });
});
