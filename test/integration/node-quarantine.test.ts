import { readFileSync, statSync } from 'node:fs';
import { hasReason, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { scriptedAttestor, type ScriptedSettings } from './scripted-attestor.js';
import {
  answerTo,
  attestNode,
  beginProof,
  prove,
  release,
  stateOf,
  verdictOf,
  watch,
  wireId,
} from './scripted-node.js';
import { InProcessServer } from './server-in-process.js';

const ADMISSION = 'bonafide.attestation.v1.NodeAdmission';
const AGENT = 'spire.api.server.agent.v1.Agent';
const ENTRY = 'spire.api.server.entry.v1.Entry';

const good = { name: 'one', state: 'good' };
const bad = { name: 'one', state: 'bad' };
const worse = { name: 'one', state: 'worse' };

const startServer = (settings: ScriptedSettings = {}): Promise<InProcessServer> =>
  InProcessServer.start({ nodeAttestors: scriptedAttestor(settings) });

async function expectRefusal(work: Promise<unknown>, reason: Reason): Promise<void> {
  await expect(work).rejects.toSatisfy((error) => hasReason(error, reason));
}

describe('a node that proves that it changed', () => {
  it('goes into quarantine: its streams end, its entries are withdrawn, until it is released', async () => {
    await using server = await startServer();
    const agent = await attestNode(server, good);
    const entryId = await server.createEntry(agent.spiffeId, '/web');
    const { stream, entries } = await watch(server, agent);
    expect(entries).toEqual([entryId]);
    expect(await prove(server, agent, good)).toMatchObject({ isQuarantined: false, findings: [] });

    const ended = stream.messages.next();
    ended.catch(() => undefined); // it ends while the verdict is on its way
    const started = performance.now();
    const verdict = await prove(server, agent, bad);
    await expectRefusal(ended, 'agent_quarantined');
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(verdict).toMatchObject({
      isQuarantined: true,
      findings: [{ kind: 'pcr', pcr: 7, bank: 'sha256', before: 'good', after: 'bad', event: '3: a test' }],
    });
    await expectRefusal(watch(server, agent), 'agent_quarantined');
    const entryApi = await server.remote(ENTRY, agent);
    await expectRefusal(callUnary(entryApi, 'GetAuthorizedEntries', {}), 'agent_quarantined');
    await expectRefusal(server.renew(agent), 'agent_quarantined');
    expect(await stateOf(server, agent)).toMatchObject({
      isQuarantined: true,
      findings: [{ kind: 'pcr' }],
      facts: [{ name: 'state', value: 'bad' }],
    });
    // It may say what it is, and stays where it is.
    expect(await prove(server, agent, good)).toMatchObject({
      isQuarantined: true,
      findings: [{ after: 'bad' }],
    });
    expect(await prove(server, agent, bad)).toMatchObject({ isQuarantined: true });

    // What was looked at is what is accepted.
    const looked = await stateOf(server, agent);
    expect(await prove(server, agent, worse)).toMatchObject({ isQuarantined: true });
    const admission = server.local(ADMISSION);
    const late = { id: wireId(agent), digest: looked.digest };
    await expectRefusal(callUnary(admission, 'ReleaseAgent', late), 'aborted');
    expect(await prove(server, agent, bad)).toMatchObject({ isQuarantined: true });
    await callUnary(admission, 'ReleaseAgent', late);
    expect((await watch(server, agent)).entries).toEqual([entryId]);
    expect(await prove(server, agent, bad)).toMatchObject({ isQuarantined: false });
    expect(await prove(server, agent, good)).toMatchObject({ isQuarantined: true });
  });

  it('stays in quarantine when it attests again, and when the server is another one', async () => {
    using directory = createTemporaryDirectory();
    const options = { nodeAttestors: scriptedAttestor(), directory };
    const first = await InProcessServer.start(options);
    const agent = await attestNode(first, good);
    await prove(first, agent, bad);
    await expectRefusal(attestNode(first, good), 'agent_quarantined');
    await first.stop();

    await using second = await InProcessServer.start(options);
    await expectRefusal(watch(second, agent), 'agent_quarantined');
    await expectRefusal(attestNode(second, good), 'agent_quarantined');
    expect(await stateOf(second, agent)).toMatchObject({ isQuarantined: true, findings: [{ after: 'bad' }] });
    const { agents } = await callUnary(second.local(ADMISSION), 'ListQuarantinedAgents', {});
    expect(agents.map(({ id }) => id)).toEqual([wireId(agent)]);
    await release(second, agent);
    // What it showed last was good.
    const again = await attestNode(second, good);
    expect((await watch(second, again)).entries).toEqual([]);
  });

  it('goes into quarantine when it attests; one that is unknown is turned away', async () => {
    await using server = await startServer({ golden: 'good' });
    await expect(attestNode(server, { name: 'new', state: 'bad' })).rejects.toThrow(
      'PCR 7 changed from good to bad',
    );
    await expectRefusal(attestNode(server, { name: 'new', state: 'bad' }), 'permission_denied');
    const agent = await attestNode(server, good);
    const { stream } = await watch(server, agent);
    const ended = stream.messages.next();
    ended.catch(() => undefined); // it ends while the refusal is on its way
    await expectRefusal(attestNode(server, bad), 'agent_quarantined');
    await expectRefusal(ended, 'agent_quarantined');
  });

  it('is told of to the audit log and to Prometheus', async () => {
    using directory = createTemporaryDirectory();
    const auditPath = directory.join('audit.log');
    const config = { server: { audit_log_path: auditPath }, telemetry: { Prometheus: { port: 0 } } };
    await using server = await InProcessServer.start({ config, nodeAttestors: scriptedAttestor() });
    const agent = await attestNode(server, good);
    await prove(server, agent, bad);
    await prove(server, agent, bad);
    const log = readFileSync(server.directory.join('server.log'), 'utf8');
    const [, port] = /"address":"localhost:(\d+)"/.exec(log) ?? [];
    const metrics = await (await fetch(`http://localhost:${port}/metrics`)).text();
    expect(metrics).toContain('bonafide_node_quarantines_total{kind="pcr"} 1');
    expect(metrics).toContain('bonafide_node_quarantine_pcr_total{pcr="7",bank="sha256"} 1');
    expect(metrics).toContain('bonafide_nodes_quarantined 1');
    expect(metrics).toContain('bonafide_node_attestations_total{type="scripted",result="attested"} 1');
    expect(metrics).toContain('bonafide_node_proofs_total{result="findings"} 2');

    await release(server, agent);
    const lines = readFileSync(auditPath, 'utf8').trimEnd().split('\n');
    const told = lines
      .map((line) => JSON.parse(line) as { event: string })
      .filter(({ event }) => event === 'agent_quarantined' || event === 'agent_released');
    const subject = { agent_id: agent.spiffeId };
    expect(told).toMatchObject([
      { event: 'agent_quarantined', actor: { kind: 'server' }, subject, findings: [{ pcr: 7 }] },
      { event: 'agent_released', actor: { kind: 'local_admin', uid: process.getuid?.() }, subject },
    ]);
    expect(statSync(auditPath).mode & 0o777).toBe(0o600);
  });
});

describe('operators', () => {
  it('have an agent prove itself over its stream, and see when it did', async () => {
    await using server = await startServer();
    const agent = await attestNode(server, good);
    const { stream } = await watch(server, agent);
    const before = await stateOf(server, agent);
    const requested = callUnary(server.local(ADMISSION), 'RequestProof', {
      id: wireId(agent),
      waitMs: 30_000,
    });
    expect((await stream.messages.next()).value?.step).toBe('proofRequest');
    await prove(server, agent, good);
    const state = await requested;
    expect(state.lastProvenAt).toBeGreaterThan(before.lastProvenAt);
    expect(state.proofRequestedAt).toBe(0);
  });

  it('do not wait longer than they said for an agent that is not there', async () => {
    await using server = await startServer();
    const agent = await attestNode(server, good);
    const state = await callUnary(server.local(ADMISSION), 'RequestProof', {
      id: wireId(agent),
      waitMs: 300,
    });
    expect(state.proofRequestedAt).toBeGreaterThan(0);
    const token = await server.attestNew();
    const refused = callUnary(server.local(ADMISSION), 'RequestProof', { id: wireId(token) });
    await expectRefusal(refused, 'failed_precondition');
  });

  it('put agents into quarantine, whatever attested them, and release only those that are in it', async () => {
    await using server = await startServer();
    const agent = await server.attestNew();
    const { stream } = await watch(server, agent);
    const admission = server.local(ADMISSION);
    const some = { id: wireId(agent), digest: '00' };
    await expectRefusal(callUnary(admission, 'ReleaseAgent', some), 'failed_precondition');
    await callUnary(admission, 'QuarantineAgent', { id: wireId(agent), reason: 'looks odd' });
    await expectRefusal(stream.messages.next(), 'agent_quarantined');
    expect((await stateOf(server, agent)).findings).toMatchObject([{ kind: 'operator', text: 'looks odd' }]);
    await expectRefusal(callUnary(admission, 'ReleaseAgent', { id: wireId(agent) }), 'invalid_argument');
    await release(server, agent);
    await watch(server, agent);
    const nobody = { trustDomain: 'example.org', path: '/spire/agent/scripted/nobody' };
    await expectRefusal(callUnary(admission, 'QuarantineAgent', { id: nobody }), 'not_found');
    await expectRefusal(callUnary(admission, 'ApproveNode', { id: nobody }), 'not_found');
    expect((await callUnary(admission, 'ListPendingNodes', {})).nodes).toEqual([]);
  });
});

describe('trust on first use', () => {
  it('ends once the agent is known', async () => {
    await using server = await startServer({ isTrustedOnFirstUse: true });
    const agent = await attestNode(server, good);
    await expect(attestNode(server, good)).rejects.toThrow(
      'attestation data has already been used to attest an agent',
    );
    await watch(server, agent);
    await callUnary(server.local(AGENT), 'DeleteAgent', { id: wireId(agent) });
    await attestNode(server, good);
  });
});

describe('a proof', () => {
  it('counts for the challenge and the certificate for which it was made', async () => {
    await using server = await startServer();
    const agent = await attestNode(server, good);
    const other = await attestNode(server, { name: 'two', state: 'good' });
    const { stream, nonce } = await beginProof(server, agent);
    await stream.send({ answer: answerTo(nonce, other, good) });
    await expectRefusal(verdictOf(stream), 'permission_denied');
    const second = await beginProof(server, agent);
    await second.stream.send({ answer: answerTo(nonce, agent, good) });
    await expectRefusal(verdictOf(second.stream), 'permission_denied');
    expect((await stateOf(server, agent)).isQuarantined).toBe(false);
  });

  it('takes the place of one that has not come to its end', async () => {
    await using server = await startServer();
    const agent = await attestNode(server, good);
    const stalled = await beginProof(server, agent);
    expect(await prove(server, agent, good)).toMatchObject({ isQuarantined: false });
    await stalled.stream.send({ answer: answerTo(stalled.nonce, agent, bad) }).catch(() => undefined); // over
    await expectRefusal(verdictOf(stalled.stream), 'aborted');
    expect((await stateOf(server, agent)).isQuarantined).toBe(false);
  });

  it('ends when its agent is banned, and does not when it is put into quarantine', async () => {
    await using server = await startServer();
    const agent = await attestNode(server, good);
    const { stream, nonce } = await beginProof(server, agent);
    await callUnary(server.local(ADMISSION), 'QuarantineAgent', { id: wireId(agent), reason: 'a look' });
    await stream.send({ answer: answerTo(nonce, agent, good) });
    expect(await verdictOf(stream)).toMatchObject({ isQuarantined: true, findings: [{ kind: 'operator' }] });
    const second = await beginProof(server, agent);
    await callUnary(server.local(AGENT), 'BanAgent', { id: wireId(agent) });
    await expectRefusal(verdictOf(second.stream), 'agent_banned');
  });

  it('does not undo a renewal that comes in between', async () => {
    await using server = await startServer({ canReattest: false });
    const agent = await attestNode(server, good);
    const { stream, nonce } = await beginProof(server, agent);
    const renewed = await server.renew(agent);
    await stream.send({ answer: answerTo(nonce, agent, { ...good, selectors: ['new'] }) });
    expect(await verdictOf(stream)).toMatchObject({ isQuarantined: false });
    await watch(server, renewed);
    const { selectors } = await callUnary(server.local(AGENT), 'GetAgent', { id: wireId(agent) });
    expect(selectors).toMatchObject([{ type: 'scripted', value: 'new' }]);
  });

  it('is refused where the node cannot be proven, or was attested otherwise', async () => {
    await using server = await startServer();
    const token = await server.attestNew();
    await expectRefusal(beginProof(server, token), 'invalid_argument');
  });
});
