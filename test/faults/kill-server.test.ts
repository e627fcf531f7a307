/** The server's machine loses power again and again under load: nothing acknowledged is lost, and no workload notices. */
import { readdir } from 'node:fs/promises';
import { openStore } from '@bonafide/server/store/open-store';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { launchServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { authoritiesOf } from './admin-client.js';
import { CallingWorkloads } from './calling-workloads.js';
import { RegistryLoad } from './registry-load.js';
import { TokenLoad } from './token-load.js';

const ROUNDS = 8;
const LEAST_ROUNDS = 3;
/** A slow machine gets through fewer rounds. */
const LIMIT_MS = 60_000;
const LONGEST_ROUND_MS = 700;

describe('kill -9 of the server under load (invariants 2 and 9)', () => {
  it('loses no acknowledged write, spends no token twice, and disturbs no workload', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { ratelimit: { attestation: false, signing: false } } },
    });
    await using agent = await launchAgent({ server, directory: directory.path });
    using workloads = await CallingWorkloads.start({ server, agent, directory: directory.path });
    const authorities = await authoritiesOf(server);
    const entries = new RegistryLoad({
      servers: [server],
      operators: 4,
      parentPaths: ['/spire/agent/join_token/of-load'],
    });
    const tokens = new TokenLoad({ servers: [server], authorities, races: 2 });

    const startedMs = performance.now();
    let rounds = 0;
    for (; rounds < ROUNDS; rounds += 1) {
      if (rounds >= LEAST_ROUNDS && performance.now() - startedMs > LIMIT_MS) break;
      const before = { acknowledged: entries.acknowledged, tokens: tokens.tokens };
      await waitFor(
        'the server to be at work',
        () => entries.acknowledged > before.acknowledged && tokens.tokens > before.tokens,
        { limitMs: 150_000, intervalMs: 1, explain: () => server.process.output.slice(-2000) },
      );
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_ROUND_MS));
      await server.kill9();
      await server.process.start();
      expect(await authoritiesOf(server)).toEqual(authorities);
      await Promise.all([tokens.retry(6), workloads.renew()]);
    }
    await Promise.all([entries.stop(), tokens.stop()]);
    await tokens.retry(Infinity);

    expect(await entries.differences()).toEqual([]);
    expect(tokens.spentTwice).toEqual([]);
    expect(await tokens.forgotten()).toEqual([]);
    expect(tokens.problems).toEqual([]);
    const counts = await workloads.stop();
    expect(counts.failed, workloads.lastWords()).toBe(0);

    await server.stop();
    const store = await openStore({ path: directory.join('server', 'datastore.sqlite3'), log: silentLogger });
    const log = (await store.changesSince(0, 1_000_000)) ?? [];
    expect(log.map(({ revision }) => revision)).toEqual(log.map((_, index) => index + 1));
    expect(await store.currentRevision()).toBe(log.length);
    await store.close();
    expect((await readdir(directory.join('server'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    process.stdout.write(
      `killed ${rounds} times in ${Math.round((performance.now() - startedMs) / 1000)} s: ${entries.acknowledged} changes acknowledged, ${entries.expected.present} entries kept, ` +
        `${entries.expected.deleted} deleted, ${entries.foundAgain} made but not answered, ${entries.expected.doubtful} in doubt; ${tokens.tokens} tokens, ${tokens.attempts} attempts, ` +
        `${tokens.spent} spent; ${counts.answered} requests of workloads, ${counts.failed} failed\n`,
    );
  });
});
