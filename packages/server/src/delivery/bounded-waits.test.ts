import { silentLogger } from '@bonafide/shared/runtime/logger';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exampleTrustDomain } from '../store/example-records.js';
import { AgentRevisions } from './agent-revisions.js';
import { ConcernedAgents } from './concerned-agents.js';
import { ScriptedDirectory } from './delivery-samples.js';
import { DeliveryWaits } from './wait-for-delivery.js';
import { WaitsOfRoles, type RoleWait } from './waits-of-roles.js';

const trustDomain = exampleTrustDomain('example.org');
const id = (name: number): SpiffeId => spiffeIdFromParts(trustDomain, `/spire/agent/x/${name}`);

describe('a server', () => {
  let clock: FakeClock;
  let directory: ScriptedDirectory;
  let waits: DeliveryWaits;
  let callers: AbortController[];
  let waiting: Promise<number>[];

  beforeEach(() => {
    clock = new FakeClock();
    directory = new ScriptedDirectory(trustDomain);
    const agents = new AgentRevisions({
      clock,
      isAttested: (agentId) => directory.nodes.has(agentId),
      maxFollowed: 2_000,
    });
    const concerned = new ConcernedAgents(directory, trustDomain);
    waits = new DeliveryWaits({
      ...{ agents, concerned, clock, log: silentLogger },
      serverId: 'one',
      exchange: undefined,
    });
    [callers, waiting] = [[], []];
  });

  afterEach(() => {
    expect(clock.pendingTimers).toBe(0);
  });

  function changeOf(agentCount: number): number {
    const agents = Array.from({ length: agentCount }, (_, index) => id(index));
    for (const agentId of agents) directory.nodes.set(agentId, { isBanned: false, quarantine: undefined });
    return directory.commit({ agents });
  }

  /** @returns how many agents it concerned. */
  async function wait(
    revision: number,
    timeoutMs: number,
    roles?: readonly string[],
    { signal } = new AbortController(),
  ): Promise<number> {
    const member = roles && { roles, mayHearOf: () => true };
    let concerned = 0;
    for await (const progress of waits.wait({ revision, timeoutMs, member, signal })) {
      ({ concerned } = progress);
    }
    return concerned;
  }

  /** Waits that last until all leave. */
  function begin(count: number, revision: number, roles?: readonly string[]): void {
    for (let index = 0; index < count; index += 1) {
      const caller = new AbortController();
      callers.push(caller);
      waiting.push(wait(revision, 60_000, roles, caller));
    }
  }

  async function allLeave(): Promise<void> {
    for (const caller of callers) caller.abort();
    await Promise.all(waiting);
  }

  it('lets a bounded number wait, and lets go of those that leave', async () => {
    const revision = changeOf(1);
    begin(1_000, revision);
    await clock.advance(1);
    await expect(wait(revision, 5_000)).rejects.toMatchObject({ reason: 'resource_exhausted' });
    await allLeave();
    expect(await wait(revision, 0)).toBe(1);
  });

  it('refuses to follow more agents than it has room for', async () => {
    const revision = changeOf(100);
    begin(20, revision);
    await expect(wait(revision, 5_000)).rejects.toMatchObject({ reason: 'resource_exhausted' });
    await allLeave();
  });

  it('lets one role wait a hundred times, beside operators and the members of other roles', async () => {
    const revision = changeOf(1);
    begin(100, revision, ['team-a']);
    await clock.advance(1);
    await expect(wait(revision, 0, ['team-a'])).rejects.toMatchObject({
      reason: 'resource_exhausted',
      message: expect.stringMatching(/^role team-a waits for 100 deliveries already.*; try again/) as string,
    });
    expect(await wait(revision, 0)).toBe(1);
    expect(await wait(revision, 0, ['team-b'])).toBe(1);
    expect(await wait(revision, 0, ['team-a', 'team-b'])).toBe(1);
    await allLeave();
    expect(await wait(revision, 0, ['team-a'])).toBe(1);
  });

  it('takes nothing from a role for a wait that failed', async () => {
    for (let call = 0; call < 101; call += 1) {
      await expect(wait(1, 0, ['team-a'])).rejects.toMatchObject({ reason: 'not_found' });
    }
  });
});

describe('the waits of roles', () => {
  function begin(count: number, roles: readonly string[], { of }: { readonly of: WaitsOfRoles }): RoleWait[] {
    return Array.from({ length: count }, () => of.begin(roles));
  }

  it('leave half of the room to operators, however many roles there are', () => {
    const of = new WaitsOfRoles();
    for (let role = 0; role < 5; role += 1) begin(100, [`team-${role}`], { of });
    expect(() => of.begin(['team-5'])).toThrow('members of roles wait for 500 deliveries already');
  });

  it('count for the role that has the fewest', () => {
    const of = new WaitsOfRoles();
    begin(200, ['team-a', 'team-b'], { of });
    expect(() => of.begin(['team-a', 'team-b'])).toThrow('role team-a waits for 100 deliveries already');
  });

  it('follow a tenth of the agents for each role, or more for a role that waits but once', () => {
    const of = new WaitsOfRoles();
    const [first, second] = [of.begin(['team-a']), of.begin(['team-b'])];
    first.follow(300_000);
    second.follow(60_000);
    const more = of.begin(['team-b']);
    expect(() => {
      more.follow(60_000);
    }).toThrow('role team-b waits for deliveries to 100000 agents already');
    more.end();
    const other = of.begin(['team-c']);
    expect(() => {
      other.follow(200_000);
    }).toThrow('members of roles wait for deliveries to 500000 agents already');
    other.end();
    first.end();
    of.begin(['team-a']).follow(400_000);
  });
});
