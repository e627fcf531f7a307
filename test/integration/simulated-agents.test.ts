import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { launchProbedServer } from '../bench/simulator/probed-server.js';
import { Registry } from '../bench/simulator/registry.js';
import { digestOf } from '../bench/simulator/simulated-agent.js';
import { Simulator } from '../bench/simulator/simulator.js';

const AGENTS = 20;
const ENTRIES = 3;
const LIMIT_MS = 180_000;
const alias = parseSpiffeId('spiffe://example.org/fleet');

describe('the simulated agents of the benchmarks', () => {
  it(
    'hold exactly their entries by either way, have SVIDs signed, and find the server again',
    { timeout: LIMIT_MS },
    async () => {
      using directory = createTemporaryDirectory();
      const { costOf, ...probed } = await launchProbedServer({ directory: directory.path });
      await using server = probed.server;
      using simulator = await Simulator.start({ servers: [server], agents: AGENTS, aliasPath: '/fleet' });
      using registry = new Registry(server.socketPath);
      await registry.createMany(alias, 'common', ENTRIES);
      const areInStep = async (): Promise<boolean> => {
        const wanted = digestOf(await registry.idsUnder(alias));
        return (await simulator.state()).holdings[wanted] === AGENTS;
      };

      for (const manner of ['watch', 'poll'] as const) {
        await simulator.follow({ manner, isFresh: true });
        expect(await areInStep()).toBe(true);
      }
      await simulator.follow({ manner: 'watch' });
      const spiffeId = parseSpiffeId('spiffe://example.org/new');
      const cost = await costOf(async () => {
        await registry.create(alias, spiffeId, 'unix:uid:1');
        expect(await simulator.arrivals(spiffeId)).toHaveLength(AGENTS);
      });
      expect(cost.statements).toBeGreaterThan(0);
      expect(cost.statements).toBeLessThan(AGENTS * 2);

      await simulator.sign();
      // One for each entry, and for the one by which the agent has the ID that all share.
      expect((await simulator.state()).svids).toBe(AGENTS * (ENTRIES + 2));

      await server.kill9();
      await server.process.start();
      await registry.createMany(alias, 'after', 1);
      await waitFor('the agents to be in step again', areInStep, { limitMs: LIMIT_MS });
    },
  );
});
