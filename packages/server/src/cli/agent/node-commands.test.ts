import { status } from '@grpc/grpc-js';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices, StubStatus } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { runServerProgram } from '../program.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const ADMISSION = 'bonafide.attestation.v1.NodeAdmission';
const ID = 'spiffe://example.org/spire/agent/tpm/one';

type Answers = Parameters<typeof startStubServices>[1];

const id = { trustDomain: 'example.org', path: '/spire/agent/tpm/one' };
const agent = {
  id,
  attestationType: 'tpm',
  x509svidSerialNumber: '1234',
  x509svidExpiresAt: 1_683_738_216,
  canReattest: true,
};
const proven = {
  id,
  attestationType: 'tpm',
  lastProvenAt: 1_683_738_216_789,
  facts: [{ name: 'Secure Boot', value: 'on' }],
};
const quarantined = {
  ...proven,
  isQuarantined: true,
  quarantinedAt: 1_683_738_300_000,
  digest: '1f0e6a0f',
  findings: [
    {
      kind: 'pcr',
      text: 'PCR 7 (sha256) changed',
      bank: 'sha256',
      pcr: 7,
      before: 'aa',
      after: 'bb',
      event: '12: x',
    },
    { kind: 'operator', text: 'looks odd' },
  ],
};
const stateText = `Node state        : in quarantine since 2023-05-10 17:05:00 +0000 UTC
Last proven       : 2023-05-10 17:03:36 +0000 UTC
Finding           : pcr: PCR 7 (sha256) changed
  before          : aa
  after           : bb
  event           : 12: x
Finding           : operator: looks odd
Fact              : Secure Boot: on
State digest      : 1f0e6a0f
`;

async function run(answers: Answers, ...argv: readonly string[]) {
  using directory = createTemporaryDirectory();
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, answers);
  const host = createRecordedHost();
  const code = await runServerProgram([...argv, '--socket-path', socketPath], host);
  return { code, ...host.printed, calls: server.calls };
}

const shows = (state: object): Answers => ({
  [AGENT]: { GetAgent: () => agent },
  [ADMISSION]: { GetNodeState: () => state },
});

describe('agent show', () => {
  it("tells the state of the node after SPIRE's lines", async () => {
    const { stdout } = await run(shows(quarantined), 'agent', 'show', '--spiffe-id', ID);
    expect(stdout.startsWith('Found an attested agent given its SPIFFE ID\n\nSPIFFE ID         : ')).toBe(
      true,
    );
    expect(stdout.endsWith(`Can re-attest     : true\n\n${stateText}`)).toBe(true);
    const fine = (await run(shows(proven), 'agent', 'show', '--spiffe-id', ID)).stdout;
    expect(fine).toContain('Node state        : as it must be\n');
  });

  it('says nothing of a node of which there is nothing to say', async () => {
    const plain = await run({ [AGENT]: { GetAgent: () => agent } }, 'agent', 'show', '--spiffe-id', ID);
    const other = await run(shows({ id, attestationType: 'join_token' }), 'agent', 'show', '--spiffe-id', ID);
    expect(other.stdout).toBe(plain.stdout);
    expect(plain.code).toBe(0);
  });

  it("prints SPIRE's JSON, and the state with it when it is asked for", async () => {
    const argv = ['agent', 'show', '--spiffe-id', ID, '--output', 'json'];
    const plain = JSON.parse((await run(shows(quarantined), ...argv)).stdout) as object;
    expect(plain).not.toHaveProperty('node_state');
    expect(JSON.parse((await run(shows(quarantined), ...argv, '--state')).stdout)).toMatchObject({
      ...plain,
      node_state: { is_quarantined: true, findings: [{ kind: 'pcr', pcr: 7 }, { kind: 'operator' }] },
    });
  });
});

describe('agent list', () => {
  it('marks those in quarantine', async () => {
    const answers = {
      [AGENT]: { ListAgents: () => ({ agents: [agent, { ...agent, id: { ...id, path: '/two' } }] }) },
      [ADMISSION]: { ListQuarantinedAgents: () => ({ agents: [quarantined] }) },
    };
    const { stdout } = await run(answers, 'agent', 'list');
    expect(stdout.match(/In quarantine {5}: since 2023-05-10 17:05:00 \+0000 UTC\n\n/g)).toHaveLength(1);
    expect(stdout.indexOf('In quarantine')).toBeLessThan(stdout.indexOf('/two'));
  });
});

describe('agent purge', () => {
  it('leaves those in quarantine, which would come back as if nothing had happened', async () => {
    const answers = {
      [AGENT]: { ListAgents: () => ({ agents: [agent] }), DeleteAgent: () => ({}) },
      [ADMISSION]: { ListQuarantinedAgents: () => ({ agents: [quarantined] }) },
    };
    const { stdout, calls } = await run(answers, 'agent', 'purge');
    expect(stdout).toBe('No agents to purge.\n');
    expect(calls.map(({ method }) => method)).not.toContain('DeleteAgent');
  });
});

describe('agent quarantine, release and prove', () => {
  it('answer with the state of the node', async () => {
    const put = await run(
      { [ADMISSION]: { QuarantineAgent: () => quarantined } },
      ...['agent', 'quarantine', '--spiffe-id', ID, '--reason', 'looks odd'],
    );
    expect(put.stdout).toBe(`Agent put into quarantine\n\nSPIFFE ID         : ${ID}\n${stateText}`);
    expect(put.calls).toEqual([{ method: 'QuarantineAgent', request: { id, reason: 'looks odd' } }]);
    const released = await run(
      { [ADMISSION]: { GetNodeState: () => quarantined, ReleaseAgent: () => proven } },
      ...['agent', 'release', '--spiffe-id', ID],
    );
    expect(released.stdout).toMatch(/^Agent released from quarantine\n\nSPIFFE ID/);
    expect(released.calls.at(-1)).toEqual({
      method: 'ReleaseAgent',
      request: { id, digest: quarantined.digest },
    });
    const looked = await run(
      { [ADMISSION]: { ReleaseAgent: () => proven } },
      ...['agent', 'release', '--spiffe-id', ID, '--digest', '1f0e'],
    );
    expect(looked.calls).toEqual([{ method: 'ReleaseAgent', request: { id, digest: '1f0e' } }]);
    const asked = await run(
      { [ADMISSION]: { RequestProof: () => proven } },
      ...['agent', 'prove', '--spiffe-id', ID, '--wait', '5s'],
    );
    expect(asked.stdout).toMatch(/^Agent proved its node\n/);
    expect(asked.calls).toEqual([{ method: 'RequestProof', request: { id, waitMs: 5000 } }]);
  });

  it('say when no proof came', async () => {
    const owed = { ...proven, proofRequestedAt: 1_683_738_400_000 };
    const { code, stdout, stderr } = await run(
      { [ADMISSION]: { RequestProof: () => owed } },
      ...['agent', 'prove', '--spiffe-id', ID, '--wait', '1s'],
    );
    expect(code).toBe(1);
    expect(stdout).toContain('Proof asked for   : 2023-05-10 17:06:40 +0000 UTC\n');
    expect(stderr).toContain('no proof came within 1 s');
  });

  it.each(['quarantine', 'release', 'prove'])(
    '%s needs a SPIFFE ID, and passes refusals on',
    async (command) => {
      expect((await run({}, 'agent', command)).stderr).toMatch(/^Error: a SPIFFE ID is required/);
      const refuse = (): never => {
        throw new StubStatus(status.NOT_FOUND, 'agent not found');
      };
      const answers = {
        [ADMISSION]: { QuarantineAgent: refuse, GetNodeState: refuse, RequestProof: refuse },
      };
      const { code, stderr } = await run(answers, 'agent', command, '--spiffe-id', ID);
      expect({ code, stderr }).toEqual({ code: 1, stderr: 'Error: agent not found\n' });
    },
  );
});
