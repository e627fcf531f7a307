/** Which agents are forgotten by themselves, and which never. */
import { addSeconds, systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { exampleNode } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { AttestedAgents } from './attested-agents.js';
import { pruneExpiredNodes, type NodePruningPolicy } from './prune-expired-nodes.js';

const DAY_SECONDS = 86_400;
const POLICY: NodePruningPolicy = {
  expiredForSeconds: DAY_SECONDS,
  batchSize: 100,
  includesTrustedOnFirstUse: false,
};

describe('expired agents', () => {
  let store: Store;
  let clock: FakeClock;
  const running: { readonly stop: () => Promise<void> }[] = [];

  beforeEach(async () => {
    clock = new FakeClock(systemClock.now());
    store = await openStore({ path: ':memory:', log: silentLogger });
  });

  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop();
    await store.close();
  });

  async function put(name: string, node: Partial<AttestedNode>): Promise<void> {
    const agentId = parseSpiffeId(`spiffe://example.org/spire/agent/test/${name}`);
    await store.write(({ nodes }) => nodes.put(exampleNode({ agentId, ...node })));
  }

  function start(policy: Partial<NodePruningPolicy> = {}): void {
    const agents = new AttestedAgents({
      ...{ store, log: silentLogger, agentTtlSeconds: 60 },
      nodes: { node: () => undefined },
      issuer: { issue: () => Promise.reject(new Error('nothing is issued here')) },
    });
    const ending = new AbortController();
    const options = { policy: { ...POLICY, ...policy }, store, random: () => 0, clock, log: silentLogger };
    const pruning = pruneExpiredNodes({ ...options, evictIf: agents.evictIf.bind(agents) }, ending.signal);
    running.push({
      stop: () => {
        ending.abort();
        return pruning;
      },
    });
  }

  async function names(): Promise<readonly string[]> {
    const { items } = await store.nodes.list({}, { size: 1000, token: undefined });
    return items.map(({ agentId }) => agentId.slice(agentId.lastIndexOf('/') + 1));
  }

  it('go when their SVID ended long enough ago, but not the banned, the quarantined, or those that cannot come back', async () => {
    const longAgo = addSeconds(clock.now(), -2 * DAY_SECONDS);
    const lately = addSeconds(clock.now(), -DAY_SECONDS / 2);
    await put('old', { expiresAt: longAgo, canReattest: true });
    await put('lately', { expiresAt: lately, canReattest: true });
    await put('banned', { expiresAt: longAgo, canReattest: true, isBanned: true });
    await put('quarantined', {
      ...{ expiresAt: longAgo, canReattest: true },
      quarantine: { since: longAgo, findings: [] },
    });
    await put('tofu', { expiresAt: longAgo, canReattest: false });
    start();
    await vi.waitFor(
      async () => {
        expect(await names()).toEqual(['banned', 'lately', 'quarantined', 'tofu']);
      },
      { timeout: 30_000 },
    );
  });

  it('go an hour later when more of them have expired, also those that cannot come back where that is asked for', async () => {
    await put('tofu', { expiresAt: addSeconds(clock.now(), -DAY_SECONDS + 1800), canReattest: false });
    await put('old', { expiresAt: addSeconds(clock.now(), -2 * DAY_SECONDS), canReattest: true });
    start({ includesTrustedOnFirstUse: true });
    await vi.waitFor(
      async () => {
        expect(await names()).toEqual(['tofu']);
      },
      { timeout: 30_000 },
    );
    await vi.waitFor(
      async () => {
        await clock.advance(3_600_000);
        expect(await names()).toEqual([]);
      },
      { timeout: 30_000 },
    );
  });

  it('go in turns of the size that is asked for', async () => {
    for (let index = 0; index < 5; index += 1) {
      await put(`old-${index}`, { expiresAt: addSeconds(clock.now(), -2 * DAY_SECONDS), canReattest: true });
    }
    start({ batchSize: 2 });
    await vi.waitFor(
      async () => {
        expect(await names()).toHaveLength(3);
      },
      { timeout: 30_000 },
    );
  });
});
