import { loadavg } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { watchResponseToProto } from '@bonafide/shared/rpc/codec/watch-message';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { waitFor } from '@bonafide/testing/wait-for';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { SnapshotAdmission } from './snapshot-admission.js';
import { WatchStreams } from './watch-streams.js';

const AGENTS = 1000;
const trustDomain = exampleTrustDomain('example.org');
const { Watch } = loadService('bonafide.sync.v1.Sync').definition;
const agentId = (index: number): SpiffeId => spiffeIdFromParts(trustDomain, `/spire/agent/x/${index}`);

let store: Store;
let graph: EntryGraph;
let streams: WatchStreams;
let admission: SnapshotAdmission;

beforeEach(async () => {
  store = await openStore({ path: ':memory:', log: silentLogger });
  await store.write(async ({ bundles, nodes, entries }) => {
    await bundles.put(exampleBundle('example.org'));
    for (let index = 0; index < AGENTS; index += 1) {
      await nodes.put(exampleNode({ agentId: agentId(index) }));
      for (let entry = 0; entry < 10; entry += 1) {
        const content = exampleEntry({ path: `/w/${index}/${entry}`, parent: `/spire/agent/x/${index}` });
        await entries.create(content, { id: `e${index}-${entry}`, createdAt: new Date(0) });
      }
    }
  });
  graph = await EntryGraph.load({ store, trustDomain, clock: systemClock, log: silentLogger });
  admission = new SnapshotAdmission();
  streams = new WatchStreams({
    ...{ graph, logId: store.logId, trustDomain, clock: systemClock, log: silentLogger, admission },
  });
});

afterEach(async () => {
  streams.stop();
  graph.stop();
  await store.close();
});

const ms = (nanoseconds: number): string => `${(nanoseconds / 1e6).toFixed(0)} ms`;

/** Encodes each message as the wire does; what a reader does with it happens elsewhere. */
function open(index: number, onMessage: (kind: string) => Promise<void> | undefined): void {
  streams.open({
    ...{ agentId: agentId(index), serialNumber: 'a1', expiresAt: new Date(Date.now() + 3_600_000) },
    hello: { kind: 'hello', cursor: undefined, agentVersion: '' },
    transport: {
      send: async (message) => {
        Watch.responseSerialize(watchResponseToProto(message));
        await onMessage(message.kind);
      },
      end: () => undefined,
    },
  });
}

it('a thousand agents that come at once do not keep the thread from anything else', async () => {
  let snapshots = 0;
  let mostUnderWay = 0;
  let mostInATurn = 0;
  let inThisTurn = 0;
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  for (let index = 0; index < AGENTS; index += 1) {
    open(index, () => {
      snapshots += 1;
      if (inThisTurn === 0) setImmediate(() => (inThisTurn = 0));
      inThisTurn += 1;
      mostInATurn = Math.max(mostInATurn, inThisTurn);
      mostUnderWay = Math.max(mostUnderWay, admission.underWay);
      return undefined;
    });
    // As connections come: so many in a turn of the loop.
    if (index % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
  }
  await waitFor('every agent to have its snapshot', () => snapshots >= AGENTS, { limitMs: 150_000 });
  delay.disable();
  expect(mostUnderWay).toBeLessThanOrEqual(32);
  process.stdout.write(
    `event loop while ${AGENTS} agents are greeted: p50 ${ms(delay.percentile(50))}, p99 ${ms(delay.percentile(99))}, longest ${ms(delay.max)}; load ${loadavg()[0]?.toFixed(1)}\n`,
  );
  // By count and not by time, which depends on what else the machine does.
  expect(mostInATurn).toBeLessThanOrEqual(64);
});

it('changes overtake the pages of a large snapshot', async () => {
  await store.write(async ({ entries }) => {
    for (let index = 0; index < 10_000; index += 1) {
      const content = exampleEntry({ path: `/large/${index}`, parent: '/spire/agent/x/0' });
      await entries.create(content, { id: `l${index}`, createdAt: new Date(0) });
    }
  });
  const told: string[] = [];
  let greeted = 0;
  for (let index = 1; index < AGENTS; index += 1) {
    open(index, (kind) => {
      if (kind === 'delta') told.push('change');
      else greeted += 1;
      return undefined;
    });
  }
  await waitFor('the others to be greeted', () => greeted >= AGENTS - 1, { limitMs: 150_000 });
  let isTold = false;
  open(0, () => {
    told.push('page');
    if (!isTold) {
      isTold = true;
      void store.write(async ({ entries }) => {
        for (let index = 1; index < AGENTS; index += 1) await entries.delete(`e${index}-0`);
      });
    }
    return undefined;
  });
  await waitFor('all of it to be told', () => told.length >= AGENTS - 1 + 20, { limitMs: 150_000 });
  // Each turn of the loop lets one page and 64 changes pass, once those are committed.
  const between = told.slice(told.indexOf('change'), told.lastIndexOf('change'));
  expect(between.filter((kind) => kind === 'page').length).toBeLessThan(between.length / 20);
});

it('ten thousand changes for a reader that does not read leave one message and no more than names', async () => {
  let sent = 0;
  let open0: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open0 = resolve));
  open(0, () => {
    sent += 1;
    return gate;
  });
  await waitFor('the snapshot to be on its way', () => sent === 1);
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 2_000; index += 1) {
    await store.write(async ({ entries }) => {
      for (let entry = 0; entry < 5; entry += 1) {
        const content = exampleEntry({ path: `/w/0/${entry}`, parent: '/spire/agent/x/0' });
        await entries.update(`e0-${entry}`, { ...content, hint: String(index) });
      }
    });
  }
  expect(sent).toBe(1);
  expect((process.memoryUsage().heapUsed - before) / 1e6).toBeLessThan(200);
  open0();
  await waitFor('the reader to have caught up', () => sent === 2);
});
