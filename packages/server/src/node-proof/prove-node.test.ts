import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { createSelector } from '@bonafide/shared/registration/selector';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import type { AuditEvent } from '../audit/audit-log.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import type { ContinuousProof, NodeAttestor, NodeProof } from '../node-attestation/node-attestor.js';
import { exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { Metrics } from '../telemetry/metrics.js';
import { LastProven } from './last-proven.js';
import { NodeNotices } from './node-notices.js';
import { NodeQuarantine } from './node-quarantine.js';
import { stateDigest } from './state-digest.js';
import { NodeProofs, type NodeVerdict } from './prove-node.js';

const node = exampleNode();
const { agentId } = node;
const trustDomain = exampleTrustDomain('example.org');
const finding = { kind: 'secure_boot', text: 'Secure Boot is off' } as const;

let clock: FakeClock;
let store: Store;
let graph: EntryGraph;
let lastProven: LastProven;
let proofs: NodeProofs;
let quarantine: NodeQuarantine;
let audited: AuditEvent[];
let auditFails = false;
/** What the attestor says next. */
let answer: (challenge: (data: Buffer) => Promise<Buffer>) => Promise<NodeProof>;

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log });
  graph = await EntryGraph.load({ store, trustDomain, clock, log });
  audited = [];
  auditFails = false;
  const audit = {
    record: (event: AuditEvent) => {
      audited.push(event);
      return auditFails ? Promise.reject(new BonafideError('unavailable', 'no disk')) : Promise.resolve();
    },
  };
  const notices = new NodeNotices({ audit, metrics: new Metrics(), log });
  lastProven = new LastProven({ proofs: store.nodeProofs, clock, log });
  const continuous: ContinuousProof = {
    intervalSeconds: 600,
    deadlineSeconds: 1800,
    prove: ({ challenge }) => answer(challenge),
    accept: (record) => `${record}, accepted`,
    facts: () => [],
  };
  const attestors = new Map<string, NodeAttestor>([
    ['join_token', { attest: () => Promise.reject(new Error('not here')), continuous }],
  ]);
  const parts = { attestors, store, notices, clock, log };
  proofs = new NodeProofs({ ...parts, nodes: graph, lastProven, onProven: () => undefined });
  quarantine = new NodeQuarantine(parts);
  answer = () => Promise.resolve({ record: 'same', selectors: [], findings: [] });
  await store.write(async ({ nodes, nodeProofs }) => {
    await nodes.put(node);
    await nodeProofs.put({ agentId, provenAt: clock.now(), requestedAt: undefined, record: 'same' });
  });
});

afterEach(async () => {
  await lastProven.stop();
  graph.stop();
  await store.close();
  expect(clock.pendingTimers).toBe(0);
});

const prove = (challenge = (): Promise<Buffer> => Promise.resolve(Buffer.alloc(0))): Promise<NodeVerdict> =>
  proofs.prove({ agentId, type: 'join_token', certificateHash: Buffer.alloc(32), challenge });

async function release(digest?: string): Promise<void> {
  const { findings = [] } = (await store.nodes.get(agentId))?.quarantine ?? {};
  await quarantine.release(agentId, digest ?? stateDigest(findings, []), 'uid:0');
}

describe('a proof', () => {
  it('that changes nothing takes no revision; its time is stored soon', async () => {
    const revision = await store.currentRevision();
    await clock.advance(1_000);
    const now = clock.now();
    expect(await prove()).toEqual({ isQuarantined: false, findings: [] });
    expect(lastProven.of(agentId)).toEqual(now);
    expect((await store.nodeProofs.get(agentId))?.provenAt).not.toEqual(now);
    await clock.advance(3_000);
    expect((await store.nodeProofs.get(agentId))?.provenAt).toEqual(now);
    expect(await store.currentRevision()).toBe(revision);
  });

  it('writes selectors and the record down when they changed', async () => {
    const selectors = [createSelector('tpm', 'b'), createSelector('tpm', 'a')];
    answer = () => Promise.resolve({ record: 'other', selectors, findings: [] });
    await prove();
    expect((await store.nodes.get(agentId))?.selectors.map(({ value }) => value)).toEqual(['a', 'b']);
    expect((await store.nodeProofs.get(agentId))?.record).toBe('other');
    const revision = await store.currentRevision();
    await prove();
    expect(await store.currentRevision()).toBe(revision);
  });

  it('with findings puts the node into quarantine, once', async () => {
    answer = () => Promise.resolve({ record: 'bad', selectors: [], findings: [finding] });
    expect(await prove()).toEqual({ isQuarantined: true, findings: [finding] });
    const revision = await store.currentRevision();
    expect(await prove()).toEqual({ isQuarantined: true, findings: [finding] });
    expect(await store.currentRevision()).toBe(revision);
    expect(audited).toMatchObject([
      { event: 'agent_quarantined', actor: { kind: 'server' }, findings: [finding] },
    ]);
    await quarantine.byOperator(agentId, 'a look', 'uid:0');
    expect(await prove()).toMatchObject({ findings: [{ kind: 'operator' }, finding] });
    await expect(release('00')).rejects.toThrow('has shown something else since');
    await release();
    expect(graph.node(agentId)?.quarantine).toBeUndefined();
    expect((await store.nodeProofs.get(agentId))?.record).toBe('bad, accepted');
    expect(audited.at(-1)).toMatchObject({ event: 'agent_released', actor: { kind: 'local_admin', uid: 0 } });
  });

  it('puts the node into quarantine though the audit log cannot be written', async () => {
    auditFails = true;
    answer = () => Promise.resolve({ record: 'bad', selectors: [], findings: [finding] });
    expect(await prove()).toMatchObject({ isQuarantined: true });
    expect(graph.authorizedEntries(agentId)).toEqual([]);
    await expect(release()).rejects.toThrow('no disk');
  });

  it('that was held against what an operator has accepted meanwhile decides nothing', async () => {
    answer = async () => {
      await store.write(({ nodeProofs }) =>
        nodeProofs.put({ agentId, provenAt: undefined, requestedAt: undefined, record: 'accepted' }),
      );
      return { record: 'bad', selectors: [], findings: [finding] };
    };
    await expect(prove()).rejects.toMatchObject({ reason: 'aborted' });
    expect(graph.node(agentId)?.quarantine).toBeUndefined();
  });

  it('of an agent that is banned or evicted meanwhile decides nothing', async () => {
    answer = async () => {
      await store.write(({ nodes }) => nodes.put({ ...node, isBanned: true }));
      return { record: 'bad', selectors: [], findings: [finding] };
    };
    await expect(prove()).rejects.toMatchObject({ reason: 'agent_banned' });
    answer = async () => {
      await store.write(({ nodes }) => nodes.delete(agentId));
      return { record: 'bad', selectors: [], findings: [finding] };
    };
    await store.write(({ nodes }) => nodes.put(node));
    await expect(prove()).rejects.toMatchObject({ reason: 'agent_not_attested' });
    expect(await store.nodeProofs.get(agentId)).toBeUndefined();
  });

  it('that stalls ends after a minute, and leaves its place', async () => {
    answer = async (challenge) => {
      await challenge(Buffer.alloc(0));
      throw new Error('not reached');
    };
    const stalled = expect(prove(() => new Promise(() => undefined))).rejects.toMatchObject({
      reason: 'deadline_exceeded',
    });
    await clock.advance(60_000);
    await stalled;
    answer = () => Promise.resolve({ record: 'same', selectors: [], findings: [] });
    expect(await prove()).toMatchObject({ isQuarantined: false });
  });

  it('has only so many rounds', async () => {
    answer = async (challenge) => {
      for (;;) await challenge(Buffer.alloc(0));
    };
    await expect(prove()).rejects.toMatchObject({ reason: 'internal' });
  });

  it('answers the request that was made before it, whatever the clock of the server that made it says', async () => {
    const requestedAt = new Date(clock.now().getTime() + 90_000);
    await store.write(({ nodeProofs }) =>
      nodeProofs.put({ agentId, provenAt: clock.now(), requestedAt, record: 'same' }),
    );
    await prove();
    expect(await store.nodeProofs.get(agentId)).toMatchObject({
      provenAt: requestedAt,
      requestedAt: undefined,
    });
  });
});

describe('for want of proof', () => {
  it('a node goes into quarantine, unless it has proven itself elsewhere or is there already', async () => {
    expect(await quarantine.forWantOfProof(agentId, 600)).toBe(false);
    await clock.advance(601_000);
    expect(await quarantine.forWantOfProof(agentId, 600)).toBe(true);
    expect(graph.node(agentId)?.quarantine?.findings).toMatchObject([{ kind: 'unproven' }]);
    expect(await quarantine.forWantOfProof(agentId, 600)).toBe(false);
    // A proof ends nothing: somebody has to look.
    expect(await prove()).toMatchObject({ isQuarantined: true, findings: [{ kind: 'unproven' }] });
  });
});
