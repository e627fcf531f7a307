/** The agent dies again and again under load, also without a server: it comes back as itself, and no workload notices. */
import { watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { programPath } from '@bonafide/testing/program-path';
import { runProcess } from '@bonafide/testing/run-command';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { adminClient } from './admin-client.js';
import { CallingWorkloads, programOf } from './calling-workloads.js';
import { RegistryLoad } from './registry-load.js';

const ROUNDS = 6;
const LEAST_ROUNDS = 4;
/** A slow machine gets through fewer rounds. */
const LIMIT_MS = 45_000;
const LONGEST_ROUND_MS = 600;

/** What the agent says when something of an earlier run cannot be used. */
const UNREADABLE = /ignoring (?:the stored|an SVID file)|cannot be read|damaged/;

/** Kills the agent at the moment at which it touches a file with such a name in its data folder, or after the limit. */
async function killAtWrite(
  agent: LaunchedAgent,
  folder: string,
  name: RegExp,
  limitMs: number,
): Promise<boolean> {
  const { pid } = agent.process;
  let isHit = false;
  const watcher = watch(folder, (_event, file) => {
    if (isHit || file === null || !name.test(file)) return;
    isHit = true;
    process.kill(pid, 'SIGKILL');
  });
  try {
    await waitFor('the agent to write', () => isHit, { limitMs, intervalMs: 1 }).catch(() => undefined);
  } finally {
    watcher.close();
  }
  await agent.kill9();
  return isHit;
}

async function agentIds(server: LaunchedServer): Promise<readonly string[]> {
  const client = adminClient(server, 'spire.api.server.agent.v1.Agent');
  try {
    const { agents } = await callUnary(client, 'ListAgents', {});
    return agents.map(({ id }) => `spiffe://${id?.trustDomain ?? ''}${id?.path ?? ''}`);
  } finally {
    client.close();
  }
}

describe('kill -9 of the agent under load (invariant 9)', () => {
  it('comes back with its own identity from whole files, and disturbs no workload', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({ directory: directory.path });
    await using agent = await launchAgent({ server, directory: directory.path });
    using workloads = await CallingWorkloads.start({ server, agent, directory: directory.path });
    // Its own entries, so that it has files to write all the time.
    const entries = new RegistryLoad({
      servers: [server],
      operators: 1,
      parentPaths: [new URL(agent.spiffeId).pathname],
      pauseMs: 50,
    });
    const moments = [
      undefined,
      { folder: agent.dataDirectory, name: /\.tmp$/ },
      { folder: agent.dataDirectory, name: /^authorized-entries/ },
      { folder: join(agent.dataDirectory, 'svids'), name: /\.tmp$/ },
      { folder: join(agent.dataDirectory, 'svids'), name: /\.json$/ },
    ];
    const startedMs = performance.now();
    let rounds = 0;
    let hits = 0;
    for (; rounds < ROUNDS; rounds += 1) {
      if (rounds >= LEAST_ROUNDS && performance.now() - startedMs > LIMIT_MS) break;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_ROUND_MS));
      const moment = moments[rounds % moments.length];
      if (moment === undefined) await agent.kill9();
      else if (await killAtWrite(agent, moment.folder, moment.name, 1_500)) hits += 1;
      await agent.process.start();
      await workloads.renew();
    }
    await entries.stop();
    expect(agent.process.output).not.toMatch(UNREADABLE);
    expect(await agentIds(server)).toEqual([agent.spiffeId]);
    expect(agent.process.output.match(/Starting node attestation/g)?.length).toBe(1);

    // What a server that is away cannot tell, the disk does.
    await server.kill9();
    await agent.kill9();
    await agent.process.start();
    await workloads.keepCalling();
    const fetched = await runProcess(programOf('alpha', directory.path), [
      ...[programPath('agent'), 'api', 'fetch', 'x509'],
      ...['--timeout', '60s', '--socket-path', agent.socketPath],
    ]);
    expect(fetched).toMatchObject({ code: 0, stdout: expect.stringContaining('/alpha') as unknown });
    await server.process.start();
    await workloads.renew();

    const counts = await workloads.stop();
    expect(counts.failed, workloads.lastWords()).toBe(0);
    await agent.stop();
    const leftOver = (await readdir(agent.dataDirectory, { recursive: true })).filter((name) =>
      name.endsWith('.tmp'),
    );
    expect(leftOver).toEqual([]);
    process.stdout.write(
      `killed ${rounds + 1} times in ${Math.round((performance.now() - startedMs) / 1000)} s, ${hits} times while it wrote: ` +
        `${entries.acknowledged} changes of entries, ${counts.answered} requests of workloads, ${counts.failed} failed\n`,
    );
  });

  it('takes up whichever of its SVIDs it has kept when it dies over the renewal of its own', async () => {
    using directory = createTemporaryDirectory();
    // Renewed at half of that; whoever is started again has the other half for it.
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { agent_ttl: '24s' } },
    });
    await using agent = await launchAgent({ server, directory: directory.path });
    for (const name of [/^agent-svid\.json$/, /\.tmp$/]) {
      const file = join(agent.dataDirectory, 'agent-svid.json');
      const before = await readFile(file, 'utf8');
      expect(await killAtWrite(agent, agent.dataDirectory, name, 120_000)).toBe(true);
      const isRenewed = (await readFile(file, 'utf8')) !== before;
      await agent.process.start();
      expect(agent.process.output).not.toMatch(UNREADABLE);
      if (name.source.startsWith('^')) expect(isRenewed).toBe(true);
      await waitFor('the agent to be known to the server', async () => {
        const { stdout } = await server.command('agent', 'list');
        return stdout.includes(agent.spiffeId);
      });
    }
    await waitFor(
      'one more renewal',
      () => agent.process.output.slice(-2_000).includes('Successfully rotated agent SVID'),
      {
        limitMs: 150_000,
        explain: () => agent.process.output.slice(-2_000),
      },
    );
    expect(agent.process.output.match(/Starting node attestation/g)?.length).toBe(1);
  });
});
