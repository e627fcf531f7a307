/** A slow link between an agent and its server: a large snapshot arrives, changes arrive, and nothing is given up for ever. */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StateFile } from '@bonafide/agent/sync/state-file';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FaultProxy } from '@bonafide/testing/fault-proxy';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect, it } from 'vitest';
import { adminClient } from './admin-client.js';

const ENTRIES = 2_000;
const SLOW = { delayMs: 200, bytesPerSecond: 64 * 1024 };
const NODE_PATH = '/node';
const LIMIT = { limitMs: 100_000, intervalMs: 200 };

/** @returns the ids. */
async function createEntries(server: LaunchedServer, paths: readonly string[]): Promise<readonly string[]> {
  const { trustDomain } = server;
  const client = adminClient(server, 'spire.api.server.entry.v1.Entry');
  try {
    const { results } = await callUnary(client, 'BatchCreateEntry', {
      entries: paths.map((path) => ({
        spiffeId: { trustDomain, path },
        parentId: { trustDomain, path: NODE_PATH },
        selectors: [{ type: 'unix', value: `user:somebody${path}` }],
      })),
    });
    return results.map(({ entry, status }) => {
      if (!entry) throw new Error(status?.message ?? 'no status');
      return entry.id;
    });
  } finally {
    client.close();
  }
}

async function deleteEntry(server: LaunchedServer, id: string): Promise<void> {
  const client = adminClient(server, 'spire.api.server.entry.v1.Entry');
  try {
    await callUnary(client, 'BatchDeleteEntry', { ids: [id] });
  } finally {
    client.close();
  }
}

/** Of the workloads' entries that the agent holds, as it keeps them for its next start. */
async function heldIds({ dataDirectory }: LaunchedAgent): Promise<readonly string[]> {
  using copy = createTemporaryDirectory();
  const path = copy.join('authorized-entries.state');
  // A state file that is loaded is tidied up around, which its owner alone may do.
  await copyFile(join(dataDirectory, 'authorized-entries.state'), path);
  const state = await new StateFile({ path, clock: systemClock, log: silentLogger }).load();
  return (state?.entries ?? [])
    .filter(({ spiffeId }) => spiffeId.includes('/workload/'))
    .map(({ id }) => id)
    .sort();
}

it('brings a snapshot of 2,000 entries, and changes, over 64 KiB/s with 200 ms each way', async () => {
  using directory = createTemporaryDirectory();
  await using server = await launchServer({ directory: directory.path });
  await using link = await FaultProxy.start(server.port);
  const paths = Array.from({ length: ENTRIES }, (_, index) => `/workload/${index}`);
  const ids: string[] = [];
  for (let first = 0; first < ENTRIES; first += 500)
    ids.push(...(await createEntries(server, paths.slice(first, first + 500))));
  link.slow(SLOW);
  const startedMs = performance.now();
  await using agent = await launchAgent({
    server,
    directory: directory.path,
    spiffeId: `spiffe://${server.trustDomain}${NODE_PATH}`,
    readyLimitMs: LIMIT.limitMs,
    config: {
      agent: {
        server_port: link.port,
        x509_svid_cache_max_size: 50,
      },
    },
  });
  await waitFor(
    'the agent to hold all entries',
    async () => JSON.stringify(await heldIds(agent)) === JSON.stringify(ids.sort()),
    { ...LIMIT, explain: () => agent.process.output.slice(-3_000) },
  );
  const snapshotMs = Math.round(performance.now() - startedMs);
  const changedMs = performance.now();
  const explained = {
    ...LIMIT,
    explain: () => `${agent.process.output.slice(-3_000)}\n${server.process.output.slice(-3_000)}`,
  };
  const [created = ''] = await createEntries(server, ['/workload/late']);
  await waitFor('the new entry', async () => (await heldIds(agent)).includes(created), explained);
  const deltaMs = Math.round(performance.now() - changedMs);
  await deleteEntry(server, created);
  await waitFor('the entry to go', async () => !(await heldIds(agent)).includes(created), explained);
  expect(await heldIds(agent)).toEqual(ids);
  expect(agent.process.output).not.toMatch(/lost touch with the server|cannot/);
  process.stdout.write(
    `slow link: agent up with ${ENTRIES} entries after ${snapshotMs} ms, a change after ${deltaMs} ms\n`,
  );
}, 400_000);
