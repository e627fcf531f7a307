/** The root is tainted under many SVIDs: until no agent and no workload stands under it any more, and how the server serves others meanwhile. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { credentials } from '@grpc/grpc-js';
import { percentile } from '../measuring/percentile.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import type { ServerCost } from '../simulator/probed-server.js';
import { formatCount, SELECTOR, workloadId, type World } from './world.js';

const CALL_EVERY_MS = 20;
const QUIET_MS = 3_000;
const LIMIT_MS = 30_000;

export async function rotationRows(world: World): Promise<readonly Row[]> {
  const { sizes, simulator, probed, registry, alias } = world;
  await simulator.follow({ manner: 'watch' });
  await registry.createMany(alias, 'rotated', sizes.svidsOfEach - sizes.entriesOfEach);
  const lastId = workloadId('rotation');
  const entryId = await registry.create(alias, lastId, SELECTOR);
  await simulator.arrivals(lastId);
  progress(`${sizes.agents} agents have ${sizes.svidsOfEach} SVIDs each signed`);
  const first = await probed.costOf(() => simulator.sign());
  const { svids } = await simulator.state();
  const quietMs = await whileCalling(world, entryId, () => sleep(QUIET_MS));
  progress(`the authority of ${svids} SVIDs is tainted`);
  let cost: ServerCost | undefined;
  const busyMs = await whileCalling(world, entryId, async () => {
    cost = await probed.costOf(() => replaceAuthority(world), { isLoopWatched: true });
  });
  if (cost === undefined) throw new Error('the rotation was not measured');
  const everything = svids + sizes.agents;
  return [
    {
      what: `root tainted under ${formatCount(everything)} SVIDs: until all are replaced`,
      value: cost.seconds,
      unit: 's',
      reference: {
        what: `as many workloads' first SVIDs, same run`,
        value: first.seconds,
        unit: 's',
      },
    },
    {
      what: 'SVIDs replaced in a second',
      value: everything / cost.seconds,
      unit: '/s',
      reference: { what: 'first SVIDs, same run', value: svids / first.seconds, unit: '/s' },
    },
    {
      what: 'other calls of the server meanwhile: p99',
      value: percentile(busyMs, 0.99),
      unit: 'ms',
      reference: { what: 'while it is quiet, same run', value: percentile(quietMs, 0.99), unit: 'ms' },
    },
    { what: 'event loop of the server meanwhile: p99', value: cost.loopP99Ms, unit: 'ms' },
    { what: 'peak memory of the server meanwhile', value: cost.peakMb, unit: 'MB' },
  ];
}

/** As an operator does who fears that the key was stolen. */
async function replaceAuthority({ probed, simulator }: World): Promise<void> {
  const { Client } = loadService('spire.api.server.localauthority.v1.LocalAuthority');
  const client = new Client(`unix:${probed.server.socketPath}`, credentials.createInsecure());
  const limit = { deadlineMs: LIMIT_MS };
  try {
    const { active } = await callUnary(client, 'GetX509AuthorityState', {}, limit);
    const { preparedAuthority } = await callUnary(client, 'PrepareX509Authority', {}, limit);
    if (active === null || preparedAuthority === null) throw new Error('the server has no authority');
    await callUnary(client, 'ActivateX509Authority', { authorityId: preparedAuthority.authorityId }, limit);
    await callUnary(client, 'TaintX509Authority', { authorityId: active.authorityId }, limit);
    await simulator.replaced(active.authorityId);
  } finally {
    client.close();
  }
}

/** @returns how long each of many calls took that were made at a steady rate meanwhile, whether or not those before had been answered. */
async function whileCalling(
  { registry }: World,
  entryId: string,
  work: () => Promise<unknown>,
): Promise<readonly number[]> {
  const calls: Promise<number>[] = [];
  const timer = setInterval(() => {
    const startedMs = performance.now();
    const call = registry.get(entryId).then(() => performance.now() - startedMs);
    call.catch(() => undefined); // it is waited for below
    calls.push(call);
  }, CALL_EVERY_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Promise.all(calls);
}
