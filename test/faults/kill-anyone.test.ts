/** Servers, agents and the database die at random moments while everything changes: nothing acknowledged is lost, and all agree afterwards. */
import { describe, it } from 'vitest';
import { useSharedRegistry } from './shared-registry.js';

const LONGEST_ROUND_MS = 800;
/** Each dies once; a fifth round has two die at once. */
const SECOND_DEATHS = 1;

interface Mortal {
  readonly name: string;
  kill9(): Promise<void>;
  readonly start: () => Promise<void>;
}

describe('kill -9 of a server, an agent and the database in turn', () => {
  const sharedRegistry = useSharedRegistry({
    agents: [
      ['a', 'b'],
      ['b', 'a'],
    ],
  });

  function mortals(): readonly Mortal[] {
    const { a, b, agents, postgres } = sharedRegistry();
    const processes = [
      ['server a', a.server],
      ['server b', b.server],
      ...agents.slice(0, 1).map(({ agent }) => ['agent', agent] as const),
    ] as const;
    return [
      ...processes.map(([name, each]) => ({
        name,
        kill9: () => each.kill9(),
        start: () => each.process.start(),
      })),
      { name: 'database', kill9: () => postgres.kill9(), start: () => postgres.start() },
    ];
  }

  it('loses nothing that was acknowledged', async () => {
    const registry = sharedRegistry();
    const all = shuffled(mortals());
    const rounds = [
      ...all.map((mortal) => [mortal]),
      ...Array.from({ length: SECOND_DEATHS }, () => shuffled(all).slice(0, 2)),
    ];
    const startedMs = performance.now();
    for (const victims of rounds) {
      const entries = registry.changeEntries();
      const tokens = await registry.raceForTokens();
      await registry.isAtWork(entries);
      await pause();
      for (const victim of victims) await victim.kill9();
      await pause();
      // A server does not start without its database.
      const first = victims.filter(({ name }) => name === 'database');
      for (const victim of [...first, ...victims.filter((each) => !first.includes(each))])
        await victim.start();
      await registry.isAtWork(entries);
      await Promise.all([entries.stop(), tokens.stop()]);
      const settledMs = await registry.invariants.check({ entries, tokens });
      process.stdout.write(
        `killed ${victims.map(({ name }) => name).join(' and ')}: ${entries.acknowledged} changes acknowledged, ${tokens.spent} of ${tokens.tokens} tokens spent; ` +
          `all agreed after ${settledMs} ms\n`,
      );
    }
    process.stdout.write(
      `${rounds.length} rounds in ${Math.round((performance.now() - startedMs) / 1000)} s\n`,
    );
  }, 400_000);
});

/** A random moment is what is wanted. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_ROUND_MS));
}

function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
