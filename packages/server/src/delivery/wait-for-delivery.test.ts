import { silentLogger } from '@bonafide/shared/runtime/logger';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { exampleTrustDomain } from '../store/example-records.js';
import type { AgentDelivery } from './agent-delivery.js';
import { AgentRevisions } from './agent-revisions.js';
import { ConcernedAgents } from './concerned-agents.js';
import { ScriptedDirectory } from './delivery-samples.js';
import { DeliveryWaits, type DeliveryProgress } from './wait-for-delivery.js';

const trustDomain = exampleTrustDomain('example.org');
const partner = exampleTrustDomain('partner.example');
const id = (name: string | number): SpiffeId => spiffeIdFromParts(trustDomain, `/spire/agent/x/${name}`);
const [A, B, C] = [id('a'), id('b'), id('c')];

let clock: FakeClock;
let directory: ScriptedDirectory;
let agents: AgentRevisions;
let waits: DeliveryWaits;

beforeEach(() => {
  clock = new FakeClock();
  directory = new ScriptedDirectory(trustDomain);
  for (const agentId of [A, B, C]) directory.nodes.set(agentId, { isBanned: false, quarantine: undefined });
  agents = new AgentRevisions({
    clock,
    isAttested: (agentId) => directory.nodes.has(agentId),
  });
  const concerned = new ConcernedAgents(directory, trustDomain);
  waits = new DeliveryWaits({
    ...{ agents, concerned, clock, log: silentLogger },
    serverId: 'one',
    exchange: undefined,
  });
});

interface Outcome {
  readonly counts: readonly string[];
  readonly agents: readonly AgentDelivery[];
}

async function outcomeOf(
  revision: number,
  timeoutMs = 5_000,
  signal = new AbortController().signal,
): Promise<Outcome> {
  const counts: string[] = [];
  let final: readonly AgentDelivery[] = [];
  for await (const progress of waits.wait({ revision, timeoutMs, signal })) {
    counts.push(countsText(progress));
    if (progress.kind === 'final') final = [...progress.agents];
  }
  return { counts, agents: final };
}

function countsText({ delivered, concerned }: DeliveryProgress): string {
  return `${delivered}/${concerned}`;
}

/** Time passes until it is done. */
async function withTime<T>(work: Promise<T>, stepMs = 10): Promise<T> {
  const progress = { isDone: false };
  const done = work.finally(() => (progress.isDone = true));
  done.catch(() => undefined);
  for (let step = 0; step < 10_000 && !progress.isDone; step += 1) await clock.advance(stepMs);
  return done;
}

describe('waiting for a delivery', () => {
  it('ends when every agent concerned has said that it holds the revision', async () => {
    for (const agentId of [A, B]) agents.streamOpened(agentId, 10);
    const revision = directory.commit({ agents: [A, B] });
    const outcome = outcomeOf(revision);
    await clock.advance(10);
    agents.acknowledged(A, revision);
    await clock.advance(50);
    agents.acknowledged(B, revision + 3);
    const { counts, agents: held } = await withTime(outcome);
    expect(counts.at(0)).toBe('0/2');
    expect(counts).toContain('1/2');
    expect(counts.at(-1)).toBe('2/2');
    expect(held.map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is over at once when all hold it, or none is concerned', async () => {
    agents.streamOpened(A, 10);
    const revision = directory.commit({ agents: [A] });
    agents.acknowledged(A, revision);
    expect((await outcomeOf(revision)).counts).toEqual(['1/1', '1/1']);
    expect((await outcomeOf(directory.commit({}))).counts).toEqual(['0/0', '0/0']);
  });

  it('names those that lack behind, those that are away, and those that were never heard of', async () => {
    agents.streamOpened(A, 7);
    agents.streamOpened(B, 10);
    await clock.advance(1_000);
    agents.streamClosed(B);
    const away = clock.now();
    const revision = directory.commit({ agents: [A, B, C] });
    const { agents: states } = await withTime(outcomeOf(revision), 100);
    expect(states).toEqual([
      { kind: 'behind', agentId: A, appliedRevision: 7, serverId: 'one' },
      { kind: 'offline', agentId: B, since: away, isExact: true },
      { kind: 'offline', agentId: C, since: agents.startedAt, isExact: false },
    ]);
  });

  it('counts an agent that went away with the revision, and not one that came back without it', async () => {
    const revision = directory.commit({ agents: [A, B] });
    for (const agentId of [A, B]) {
      agents.streamOpened(agentId, 0);
      agents.acknowledged(agentId, revision);
      agents.streamClosed(agentId);
    }
    agents.streamOpened(B, 0);
    const { agents: states } = await outcomeOf(revision, 0);
    expect(states).toEqual([
      { kind: 'delivered', agentId: A },
      { kind: 'behind', agentId: B, appliedRevision: 0, serverId: 'one' },
    ]);
  });

  it('does not wait for agents in quarantine', async () => {
    agents.streamOpened(A, 10);
    const revision = directory.commit({ agents: [A, B] });
    directory.nodes.set(B, { isBanned: false, quarantine: { since: new Date(0), findings: [] } });
    const outcome = outcomeOf(revision);
    await clock.advance(50);
    agents.acknowledged(A, revision);
    const { counts } = await withTime(outcome);
    expect(counts.at(-1)).toBe('1/1');
  });

  it('does not wait for agents that are banned or gone', async () => {
    agents.streamOpened(A, 10);
    const revision = directory.commit({ agents: [A, B, C] });
    directory.nodes.delete(C);
    const outcome = outcomeOf(revision);
    await clock.advance(50);
    directory.nodes.set(B, { isBanned: true, quarantine: undefined });
    agents.forget(B);
    await clock.advance(50);
    agents.acknowledged(A, revision);
    const { counts } = await withTime(outcome);
    expect(counts.at(0)).toBe('0/2');
    expect(counts.at(-1)).toBe('1/1');
  });

  it('takes an agent that polls at its word only when it asks again', async () => {
    const revision = directory.commit({ agents: [A] });
    agents.polled(A, revision);
    expect((await outcomeOf(revision, 0)).agents[0]?.kind).toBe('behind');
    agents.polled(A, revision);
    expect((await outcomeOf(revision, 0)).agents[0]?.kind).toBe('delivered');
    const next = directory.commit({ agents: [A] });
    await clock.advance(61_000);
    expect((await outcomeOf(next, 0)).agents[0]?.kind).toBe('offline');
  });

  it('concerns with a bundle those that follow it', async () => {
    directory.federating.add(B);
    const own = directory.commit({ bundles: [trustDomain] });
    const foreign = directory.commit({ bundles: [partner] });
    expect((await outcomeOf(own, 0)).counts.at(-1)).toBe('0/3');
    expect((await outcomeOf(foreign, 0)).counts.at(-1)).toBe('0/1');
  });

  it('waits for a revision of another server that is not here yet, within its time', async () => {
    agents.streamOpened(A, 10);
    const outcome = outcomeOf(12);
    await clock.advance(100);
    directory.commit({ agents: [A] }, 2);
    agents.acknowledged(A, 12);
    expect((await withTime(outcome)).counts.at(-1)).toBe('1/1');
    await expect(withTime(outcomeOf(1_000_000, 500))).rejects.toMatchObject({
      reason: 'not_found',
      message: 'revision 1000000 is still to come; the newest is 12',
    });
  });

  it('says so when it is forgotten whom a revision concerns', async () => {
    await expect(outcomeOf(10)).rejects.toMatchObject({ reason: 'not_found' });
    const before = directory.commit({ agents: [A] });
    directory.commit({ isReload: true });
    await expect(outcomeOf(before)).rejects.toThrow(/forgotten; this server remembers the changes after/);
    const after = directory.commit({ agents: [A] });
    expect((await outcomeOf(after, 0)).counts.at(-1)).toBe('0/1');
  });

  it('remembers a bounded number of changes', async () => {
    const first = directory.commit({ agents: [A] });
    for (let count = 0; count < 10_000; count += 1) directory.commit({ agents: [B] });
    await expect(outcomeOf(first, 0)).rejects.toThrow('forgotten');
    expect((await outcomeOf(first + 1, 0)).counts.at(-1)).toBe('0/1');
  });
});
