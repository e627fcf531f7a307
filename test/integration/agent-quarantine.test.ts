/** What a node in quarantine holds, by join token and by TPM, and how it comes back. */
import { readdir, writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { NodeState__Output as NodeState } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/NodeState';
import { extendPcr } from '@bonafide/shared/tpm/device/commands/pcrs';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import { publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const ADMISSION = 'bonafide.attestation.v1.NodeAdmission';
const NO_IDENTITY = 'no identity issued';

function idOf(agentId: string): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path: agentId.slice('spiffe://example.org'.length) };
}

function quarantine(server: InProcessServer, agentId: string): Promise<NodeState> {
  return callUnary(server.local(ADMISSION), 'QuarantineAgent', { id: idOf(agentId), reason: 'a drill' });
}

async function release(server: InProcessServer, agentId: string): Promise<NodeState> {
  const id = idOf(agentId);
  const { digest } = await callUnary(server.local(ADMISSION), 'GetNodeState', { id });
  return callUnary(server.local(ADMISSION), 'ReleaseAgent', { id, digest });
}

async function losesIdentity(agent: InProcessAgent): Promise<void> {
  await waitFor('the workload to have no identity', async () => {
    const answer = await agent.fetch().then(
      () => 'an SVID',
      (error: unknown) => String(error),
    );
    return answer.includes(NO_IDENTITY);
  });
}

async function comesBack(agent: InProcessAgent): Promise<void> {
  await waitFor('the workload to have its SVID again', async () => (await agent.fetch()).length === 1, {
    limitMs: 150_000,
  });
}

describe('an agent in quarantine', () => {
  it('takes everything from its workloads at once, and gives it back once it is released', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const agentId = agentIdOf(joinToken);
    await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the SVID');
    const folder = `${agent.dataDirectory}/svids`;
    await waitFor('the SVID on disk', async () => (await readdir(folder)).length === 1);

    await quarantine(server, agentId);
    await losesIdentity(agent);
    await waitFor('nothing on disk', async () => (await readdir(folder)).length === 0);
    expect(agent.logged('this node is in quarantine')).toBe(1);
    // Its own identity stays: it asks under it again and again.
    expect(await readdir(agent.dataDirectory)).toContain('agent-svid.json');

    await release(server, agentId);
    await comesBack(agent);
    expect(agent.logged('is out of quarantine')).toBe(1);
    await waitFor('the SVID on disk again', async () => (await readdir(folder)).length === 1);
    expect(agent.logged('Starting node attestation')).toBe(1);
  });

  it('serves nothing from disk when it is started again', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const agentId = agentIdOf(joinToken);
    await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the SVID');
    await quarantine(server, agentId);
    await losesIdentity(agent);
    await agent.stop();

    await using again = await InProcessAgent.start({
      server,
      withoutToken: true,
      directory: agent.directory,
    });
    // Also before it has heard the server.
    await losesIdentity(again);
    await waitFor('it to hear that it is', () => again.logged('this node is in quarantine') === 1);
    await expect(again.fetch()).rejects.toThrow(NO_IDENTITY);
    await release(server, agentId);
    await comesBack(again);
  });

  it('learns of it on its first word after an outage, when it was put there meanwhile', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const agentId = agentIdOf(joinToken);
    await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the SVID');
    await agent.stop();
    await quarantine(server, agentId);
    await using again = await InProcessAgent.start({
      server,
      withoutToken: true,
      directory: agent.directory,
    });
    await losesIdentity(again);
    await waitFor(
      'nothing on disk',
      async () => (await readdir(`${agent.dataDirectory}/svids`)).length === 0,
    );
  });
});

describe.skipIf(!swtpmIsInstalled())('an agent that proves its node by a software TPM (swtpm)', () => {
  it('proves itself on request, is put into quarantine by a changed PCR, and proves itself there', async () => {
    await using swtpm = await launchSwtpm();
    using directory = createTemporaryDirectory();
    const roots = directory.join('roots.pem');
    await writeFile(roots, swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join(''));
    const tpm = { ek_roots: [roots], policy: { event_log: 'optional' }, proof: { interval: '0' } };
    await using server = await InProcessServer.start({ config: { plugins: { NodeAttestor: { tpm } } } });
    const agentId = await agentIdOfTpm(swtpm);
    await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({
      server,
      withoutToken: true,
      config: {
        plugins: { NodeAttestor: { tpm: { device: swtpm.path, event_log_path: directory.join('none') } } },
      },
    });
    await agent.fetched('the SVID');

    const admission = server.local(ADMISSION);
    const request = { id: idOf(agentId), waitMs: 20_000 };
    const first = await callUnary(admission, 'RequestProof', request);
    expect(first).toMatchObject({ isQuarantined: false, attestationType: 'tpm' });
    expect(first.lastProvenAt).toBeGreaterThan(0);
    expect(agent.logged('has accepted the proof')).toBe(1);

    await extend(swtpm, 4);
    const second = await callUnary(admission, 'RequestProof', request);
    expect(second.isQuarantined).toBe(true);
    expect(second.findings).toMatchObject([{ kind: 'pcr', pcr: 4 }]);
    await losesIdentity(agent);

    await release(server, agentId);
    await comesBack(agent);
    const third = await callUnary(admission, 'RequestProof', request);
    expect(third.isQuarantined).toBe(false);
  });
});

async function agentIdOfTpm(swtpm: Swtpm): Promise<string> {
  await using device = await TpmDevice.open({ path: swtpm.path });
  const ek = await device.endorsementKey();
  return `spiffe://example.org/spire/agent/tpm/${ekHash(publicKeyOf(ek.public))}`;
}

async function extend(swtpm: Swtpm, pcr: number): Promise<void> {
  await using device = await TpmDevice.open({ path: swtpm.path });
  await device.run((turn) => extendPcr(turn, 'sha256', pcr, Buffer.alloc(32, 7)));
}
