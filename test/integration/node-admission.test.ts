import { readFileSync } from 'node:fs';
import { hasReason, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { PendingNode__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/PendingNode';
import { launchPostgres } from '@bonafide/testing/launch-postgres';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent } from './agent-in-process.js';
import { scriptedAttestor } from './scripted-attestor.js';
import { attestNode } from './scripted-node.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const ADMISSION = 'bonafide.attestation.v1.NodeAdmission';
const AGENT = 'spire.api.server.agent.v1.Agent';
const ADMIN = 'spiffe://example.org/second-admin';
const OWN_NAME = `uid:${process.getuid?.() ?? 0}`;
const LIMIT = { limitMs: 150_000 };

const one = { name: 'one', state: 'good', selectors: ['rack:7'] };
const id = { trustDomain: 'example.org', path: '/spire/agent/scripted/one' };
const rules = { approval_required: [{ attestor: 'scripted' }, { attestor: 'join_token' }] };

const start = (admission: ConfigFile = rules, more: ConfigFile = {}): Promise<InProcessServer> =>
  InProcessServer.start({
    config: { server: { admin_ids: [ADMIN], node_admission: admission }, ...more },
    nodeAttestors: scriptedAttestor(),
  });

async function expectRefusal(work: Promise<unknown>, reason: Reason): Promise<void> {
  await expect(work).rejects.toSatisfy((error) => hasReason(error, reason));
}

const decide = (
  server: InProcessServer,
  verb: 'ApproveNode' | 'DenyNode',
  nodeId: object = id,
): Promise<PendingNode__Output> =>
  callUnary(server.local(ADMISSION), verb, { id: nodeId, reason: 'as ordered' });

async function pending(server: InProcessServer): Promise<readonly PendingNode__Output[]> {
  return (await callUnary(server.local(ADMISSION), 'ListPendingNodes', {})).nodes;
}

async function agentCount(server: InProcessServer): Promise<number> {
  return (await callUnary(server.local(AGENT), 'CountAgents', {})).count;
}

describe('a node that is new', () => {
  it('waits until it is approved, and then comes in; it is not asked about again until it is evicted', async () => {
    using directory = createTemporaryDirectory();
    const auditPath = directory.join('audit.log');
    await using server = await InProcessServer.start({
      config: { server: { node_admission: rules, audit_log_path: auditPath } },
      nodeAttestors: scriptedAttestor(),
    });
    const asked = attestNode(server, one);
    await expect(asked).rejects.toThrow(
      "spiffe://example.org/spire/agent/scripted/one waits to be let in; an operator does it with 'bonafide-server agent approve --spiffe-id spiffe://example.org/spire/agent/scripted/one'",
    );
    await expectRefusal(asked, 'agent_pending');
    expect(await agentCount(server)).toBe(0);
    expect(await pending(server)).toMatchObject([
      {
        ...{ id, attestationType: 'scripted', state: 'pending', approvalsNeeded: 1, decisions: [] },
        ...{ selectors: [{ type: 'scripted', value: 'rack:7' }], address: '127.0.0.1' },
      },
    ]);
    expect(await decide(server, 'ApproveNode')).toMatchObject({
      state: 'approved',
      decisions: [{ by: OWN_NAME, isApproval: true, reason: 'as ordered' }],
    });
    await expectRefusal(decide(server, 'ApproveNode'), 'failed_precondition');
    await attestNode(server, one);
    expect(await pending(server)).toEqual([]);

    await attestNode(server, { ...one, selectors: ['rack:8'] });
    await callUnary(server.local(AGENT), 'DeleteAgent', { id });
    await expectRefusal(attestNode(server, one), 'agent_pending');
    const events = readFileSync(auditPath, 'utf8').trimEnd().split('\n');
    const uid = process.getuid?.() ?? 0;
    const byServer = { kind: 'server' };
    const decided = events
      .map((line) => JSON.parse(line) as { event: string; result: string })
      .filter(({ event, result }) => event.startsWith('node_') && result === 'success');
    expect(decided).toMatchObject([
      { event: 'node_asked', actor: byServer },
      { event: 'node_approved', actor: { kind: 'local_admin', uid }, reason: 'as ordered' },
      { event: 'node_admitted', actor: byServer, reason: `approved by ${OWN_NAME}` },
      { event: 'node_asked', actor: byServer },
    ]);
  });

  it('is let in as what was looked at, and not as what it asks as since', async () => {
    await using server = await start();
    await expectRefusal(attestNode(server, one), 'agent_pending');
    const digest = (await pending(server))[0]?.digest ?? '';
    await expectRefusal(attestNode(server, { ...one, selectors: ['rack:8'] }), 'agent_pending');
    const approve = (): Promise<PendingNode__Output> =>
      callUnary(server.local(ADMISSION), 'ApproveNode', { id, digest });
    await expectRefusal(approve(), 'aborted');
    await expectRefusal(attestNode(server, one), 'agent_pending');
    expect(await approve()).toMatchObject({ state: 'approved', digest });
    await attestNode(server, one);
  });

  it('stays out once it was denied, whatever it looks like then', async () => {
    await using server = await start();
    await expectRefusal(attestNode(server, one), 'agent_pending');
    expect(await decide(server, 'DenyNode')).toMatchObject({ state: 'denied' });
    await expectRefusal(attestNode(server, one), 'permission_denied');
    await expectRefusal(attestNode(server, { ...one, selectors: [] }), 'permission_denied');
    await expectRefusal(decide(server, 'DenyNode'), 'failed_precondition');
    // Another person does not undo it; the one who denied it may.
    const admin = await server.remote(ADMISSION, await server.mint(ADMIN));
    await expectRefusal(callUnary(admin, 'ApproveNode', { id }), 'failed_precondition');
    await decide(server, 'ApproveNode');
    await attestNode(server, one);
  });

  it('stays out when it is banned, and nobody is asked about it', async () => {
    await using server = await start();
    await expectRefusal(attestNode(server, one), 'agent_pending');
    await decide(server, 'ApproveNode');
    await attestNode(server, one);
    await callUnary(server.local(AGENT), 'BanAgent', { id });
    await expectRefusal(attestNode(server, one), 'agent_banned');
    expect(await pending(server)).toEqual([]);
  });

  it('has to be another one to those who approved when its selectors differ', async () => {
    await using server = await start();
    await expectRefusal(attestNode(server, one), 'agent_pending');
    await decide(server, 'ApproveNode');
    const other = { ...one, selectors: ['rack:8'] };
    await expectRefusal(attestNode(server, other), 'agent_pending');
    expect(await pending(server)).toMatchObject([
      { state: 'pending', decisions: [], selectors: [{ value: 'rack:8' }] },
    ]);
    await expectRefusal(attestNode(server, one), 'agent_pending');
  });

  it('is asked about only where a rule holds for it', async () => {
    await using server = await start({ approval_required: [{ selector: 'scripted:rack:7' }] });
    await expectRefusal(attestNode(server, one), 'agent_pending');
    await attestNode(server, { ...one, name: 'two', selectors: ['rack:8'] });
    await server.attestNew();
  });

  it('is not asked about when what it brings proves nothing', async () => {
    await using server = await start();
    await expect(server.attest('made-up')).rejects.toThrow('join token does not exist');
    expect(await pending(server)).toEqual([]);
  });
});

describe('two people', () => {
  it('must both approve, and one cannot be two', async () => {
    await using server = await start({ ...rules, approvals: 2 });
    await expectRefusal(attestNode(server, one), 'agent_pending');
    expect(await decide(server, 'ApproveNode')).toMatchObject({ state: 'pending', approvalsNeeded: 2 });
    await expect(decide(server, 'ApproveNode')).rejects.toThrow(`${OWN_NAME} has approved`);
    await expect(attestNode(server, one)).rejects.toThrow('(1 of 2 approvals so far)');
    const admin = await server.remote(ADMISSION, await server.mint(ADMIN));
    expect(await callUnary(admin, 'ApproveNode', { id })).toMatchObject({
      state: 'approved',
      decisions: [{ by: OWN_NAME }, { by: ADMIN }],
    });
    await attestNode(server, one);
  });

  it('are neither agents nor workloads', async () => {
    await using server = await start({ approval_required: [{ attestor: 'scripted' }] });
    const agent = await server.attestNew();
    for (const identity of [agent, await server.mint('spiffe://example.org/web'), undefined]) {
      const client = await server.remote(ADMISSION, identity);
      for (const verb of ['ApproveNode', 'DenyNode'] as const) {
        await expectRefusal(callUnary(client, verb, { id }), 'permission_denied');
      }
      await expectRefusal(callUnary(client, 'ListPendingNodes', {}), 'permission_denied');
    }
  });
});

describe('races', () => {
  it('let a node in once, though it attests while it is approved', async () => {
    await using server = await start();
    await expectRefusal(attestNode(server, one), 'agent_pending');
    const attempts = Array.from({ length: 6 }, () => attestNode(server, one));
    const [approved, ...outcomes] = await Promise.allSettled([decide(server, 'ApproveNode'), ...attempts]);
    expect(approved.status).toBe('fulfilled');
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      // Another attempt of the same node was first, and agents try again.
      expect(hasReason(outcome.reason, 'agent_pending', 'aborted')).toBe(true);
    }
    await attestNode(server, one);
    expect(await agentCount(server)).toBe(1);
    expect(await pending(server)).toEqual([]);
  });

  it('never let in the second of two nodes with one ID', async () => {
    await using server = await start();
    const two = { ...one, selectors: ['rack:8'] };
    await Promise.allSettled([attestNode(server, one), attestNode(server, two)]);
    const [waiting] = await pending(server);
    const [first, second] = waiting?.selectors[0]?.value === 'rack:7' ? [one, two] : [two, one];
    await decide(server, 'ApproveNode');
    const outcomes = await Promise.allSettled([attestNode(server, first), attestNode(server, second)]);
    // Whichever comes first: the other one comes in only as the node that is known by then, or voids the approval.
    const { agents } = await callUnary(server.local(AGENT), 'ListAgents', {});
    if (agents.length === 0) {
      for (const { status } of outcomes) expect(status).toBe('rejected');
      expect(await pending(server)).toMatchObject([{ state: 'pending' }]);
    } else expect(outcomes[0].status).toBe('fulfilled');
  });

  it('end with the node outside when it is approved and denied at once', async () => {
    await using server = await start();
    await expectRefusal(attestNode(server, one), 'agent_pending');
    const admin = await server.remote(ADMISSION, await server.mint(ADMIN));
    const [, denied] = await Promise.allSettled([
      callUnary(admin, 'ApproveNode', { id }),
      decide(server, 'DenyNode'),
    ]);
    expect(denied.status).toBe('fulfilled');
    await expectRefusal(attestNode(server, one), 'permission_denied');
  });
});

describe('an agent', () => {
  it('waits with its join token, which is spent when it comes in', { timeout: 120_000 }, async () => {
    await using server = await start();
    const joinToken = await server.createToken();
    await using agent = await InProcessAgent.start({ server, joinToken });
    await waitFor('it to wait', () => agent.logged('waits for an operator') > 0, LIMIT);
    const path = new URL(agentIdOf(joinToken)).pathname;
    await decide(server, 'ApproveNode', { trustDomain: 'example.org', path });
    await waitFor('it to serve', () => agent.logged('Starting agent APIs') > 0, LIMIT);
    await expect(server.attest(joinToken)).rejects.toThrow('has already been used');
  });
});

describe('two servers on one database', { timeout: 180_000 }, () => {
  it('share requests and decisions, and let the node in once', async () => {
    using directory = createTemporaryDirectory();
    await using postgres = await launchPostgres({ directory: directory.path });
    const url = await postgres.createDatabase('bonafide');
    const datastore = { datastore: { type: 'postgres', url } };
    await using first = await start({ ...rules, approvals: 2 }, datastore);
    await using second = await start({ ...rules, approvals: 2 }, datastore);
    await expectRefusal(attestNode(first, one), 'agent_pending');
    expect(await pending(second)).toMatchObject([{ id, state: 'pending' }]);
    await decide(first, 'ApproveNode');
    // The same person at another server.
    await expectRefusal(decide(second, 'ApproveNode'), 'failed_precondition');
    const admin = await second.remote(ADMISSION, await second.mint(ADMIN));
    await callUnary(admin, 'ApproveNode', { id });
    const attested = await Promise.allSettled([attestNode(first, one), attestNode(second, one)]);
    expect(attested.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
    expect(await agentCount(first)).toBe(1);
    expect(await pending(first)).toEqual([]);
    const identities = attested.flatMap((outcome): Attested[] =>
      outcome.status === 'fulfilled' ? [outcome.value] : [],
    );
    expect(new Set(identities.map(({ spiffeId }) => spiffeId)).size).toBe(1);
  });
});

describe('a configuration', () => {
  it.each([
    [{ attestor: 'tmp' }, 'names the node attestor "tmp"'],
    [{ selector: 'tmp:x' }, 'names the node attestor "tmp"'],
    [{ attestor: 'join_token', selector: 'scripted:x' }, 'holds for no node'],
  ])('that names %j is refused, for it would let everybody in', async (rule, message) => {
    await expect(start({ approval_required: [rule] })).rejects.toThrow(message);
  });
});
