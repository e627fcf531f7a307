/** One user of the node floods the Workload API; another is served all the while, and the agent is afterwards as it was. */
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { credentials, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { adminClient } from './admin-client.js';
import { flood } from './flooding-workload.js';
import { openDescriptors, residentMegabytes } from './process-cost.js';

const FLOODER = { uid: 64_101, gid: 64_101 };
const QUIET_ID = '/quiet';
const CONNECTIONS = 10_000;
const CALLS = 100_000;
/** A slow machine makes fewer calls. */
const LIMIT_MS = 40_000;
/** Fast enough for anybody, slow enough to be reached by a machine with much else to do. */
const CALLS_PER_SECOND = 100;
const STREAMS = 1000;
/** For a machine with more to do than this; it is a few dozen milliseconds on one that has not. */
const LONGEST_WAIT_MS = 30_000;
/** What the heap of a program keeps for the next time is not lost. */
const KEPT_MEGABYTES = 200;

async function register(server: LaunchedServer, agent: LaunchedAgent): Promise<void> {
  const { trustDomain } = server;
  const client = adminClient(server, 'spire.api.server.entry.v1.Entry');
  try {
    const { results } = await callUnary(client, 'BatchCreateEntry', {
      entries: [
        {
          spiffeId: { trustDomain, path: QUIET_ID },
          parentId: { trustDomain, path: new URL(agent.spiffeId).pathname },
          selectors: [{ type: 'unix', value: `uid:${process.getuid?.() ?? -1}` }],
        },
      ],
    });
    expect(results.map(({ status: result }) => result?.code)).toEqual([status.OK]);
  } finally {
    client.close();
  }
}

/** Over a connection of its own. @returns the SPIFFE IDs. */
async function fetchFresh(agent: LaunchedAgent): Promise<readonly string[]> {
  const { Client } = loadService('SpiffeWorkloadAPI');
  const client = new Client(agent.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.default_authority': 'localhost',
  });
  const metadata = { 'workload.spiffe.io': 'true' };
  const messages = openServerStream(client, 'FetchX509SVID', {}, { metadata });
  try {
    const { value } = await messages.next();
    return value?.svids.map(({ spiffeId }) => spiffeId) ?? [];
  } finally {
    await messages.return(undefined);
    client.close();
  }
}

/** @returns how many milliseconds each fetch took, sorted. */
async function fetchUntil(agent: LaunchedAgent, isOver: () => boolean): Promise<readonly number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const startedMs = performance.now();
    const ids = await waitFor('an answer', () => fetchFresh(agent), { limitMs: LONGEST_WAIT_MS });
    expect(ids).toEqual([`spiffe://example.org${QUIET_ID}`]);
    times.push(performance.now() - startedMs);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return times.sort((left, right) => left - right);
}

describe.runIf(canRunAsOthers())('a flood of one user (needs root, to be several users)', () => {
  it('keeps nobody else waiting, is refused with a reason, and leaves nothing behind', async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    await using server = await launchServer({ directory: directory.path });
    const limits = { calls_per_second_per_uid: CALLS_PER_SECOND, max_streams_per_uid: STREAMS };
    await using agent = await launchAgent({
      server,
      directory: directory.path,
      config: { agent: { log_level: 'INFO', limits } },
    });
    const { pid } = agent.process;
    await register(server, agent);
    await waitFor('the first SVID', async () => (await fetchFresh(agent)).length === 1);
    const descriptors = await waitFor('the first connections to be closed', () => {
      const count = openDescriptors(pid);
      return count === openDescriptors(pid) ? count : undefined;
    });
    const megabytes = residentMegabytes(pid);

    let isOver = false;
    const { socketPath } = agent;
    const flooding = flood(
      { socketPath, connections: CONNECTIONS, calls: CALLS, limitMs: LIMIT_MS },
      FLOODER,
    );
    const [outcome, times] = await Promise.all([
      flooding.finally(() => {
        isOver = true;
      }),
      fetchUntil(agent, () => isOver),
    ]);

    const p99 = times[Math.floor((times.length - 1) * 0.99)] ?? Number.NaN;
    const slowest = times.at(-1) ?? Number.NaN;
    process.stdout.write(
      `flood: ${JSON.stringify(outcome)}; ${times.length} fetches of another user, p99 ${Math.round(p99)} ms, ` +
        `slowest ${Math.round(slowest)} ms; agent ${Math.round(megabytes)} MB before, ${Math.round(residentMegabytes(pid))} MB after\n`,
    );
    expect(slowest).toBeLessThan(LONGEST_WAIT_MS);

    const { connectionsHeld, connectionsRefused, messages, retryAfterMs, statuses } = outcome;
    expect(connectionsHeld).toBeGreaterThan(0);
    expect(connectionsRefused).toBeGreaterThan(0);
    expect(statuses[status.RESOURCE_EXHAUSTED]).toBeGreaterThan(0);
    expect(messages[status.RESOURCE_EXHAUSTED]).toMatch(
      /^refused a call: user 64101 makes more than 100 calls a second \(request id [0-9a-f-]{36}\)$/,
    );
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(messages[status.PERMISSION_DENIED]).toBe('no identity issued');
    const { output } = agent.process;
    expect(output).toMatch(/refused a connection: its user has too many open/);
    const refusals = output.split('\n').filter((line) => line.includes('refused a call: user 64101'));
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.length).toBeLessThan(LIMIT_MS / 1000);
    for (const line of refusals) expect(line).toMatch(/request_?id"?[=:]"?[0-9a-f-]{36}/i);

    await waitFor('every descriptor to be closed', () => openDescriptors(pid) <= descriptors, {
      explain: () => `${openDescriptors(pid)} open, ${descriptors} before`,
    });
    await waitFor('the memory to be given back', () => residentMegabytes(pid) < megabytes + KEPT_MEGABYTES, {
      explain: () => `${residentMegabytes(pid)} MB, ${megabytes} MB before`,
    });
    expect(await fetchFresh(agent)).toHaveLength(1);
  });
});
