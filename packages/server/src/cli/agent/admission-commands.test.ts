import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { runServerProgram } from '../program.js';

const ADMISSION = 'bonafide.attestation.v1.NodeAdmission';
const ID = 'spiffe://example.org/spire/agent/tpm/one';

type Answers = Parameters<typeof startStubServices>[1];

const id = { trustDomain: 'example.org', path: '/spire/agent/tpm/one' };
const node = {
  id,
  attestationType: 'tpm',
  selectors: [{ type: 'tpm', value: 'ek_hash:ab' }],
  firstAskedAt: 1_683_738_216_789,
  lastAskedAt: 1_683_738_300_000,
  expiresAt: 1_683_824_616_789,
  state: 'pending',
  decisions: [{ by: 'uid:1000', isApproval: true, at: 1_683_738_299_000, reason: 'rack 7' }],
  approvalsNeeded: 2,
  digest: '1f0e6a0f',
  address: '192.0.2.7',
};
const nodeText = (state: string): string => `SPIFFE ID         : ${ID}
Attestation type  : tpm
Selectors         : tpm:ek_hash:ab
Address           : 192.0.2.7
State             : ${state}
Decision          : approved by uid:1000 at 2023-05-10 17:04:59 +0000 UTC: rack 7
First asked       : 2023-05-10 17:03:36 +0000 UTC
Last asked        : 2023-05-10 17:05:00 +0000 UTC
Forgotten         : 2023-05-11 17:03:36 +0000 UTC
Request digest    : 1f0e6a0f

`;

async function run(answers: Answers, ...argv: readonly string[]) {
  using directory = createTemporaryDirectory();
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, answers);
  const host = createRecordedHost();
  const code = await runServerProgram([...argv, '--socket-path', socketPath], host);
  return { code, ...host.printed, calls: server.calls };
}

describe('agent pending', () => {
  it('prints who asks to be let in, and what was decided', async () => {
    const { stdout, code } = await run(
      { [ADMISSION]: { ListPendingNodes: () => ({ nodes: [node] }) } },
      ...['agent', 'pending'],
    );
    expect(stdout).toBe(`Found 1 node that asks to be let in:\n\n${nodeText('pending (1 of 2 approvals)')}`);
    expect(code).toBe(0);
  });

  it('says when nobody does, and follows pages', async () => {
    const none = await run({ [ADMISSION]: { ListPendingNodes: () => ({ nodes: [] }) } }, 'agent', 'pending');
    expect(none.stdout).toBe('No nodes ask to be let in\n');
    let pages = 0;
    const answers = {
      [ADMISSION]: {
        ListPendingNodes: () => ({ nodes: [node], nextPageToken: (pages += 1) === 1 ? 'next' : '' }),
      },
    };
    const { stdout } = await run(answers, 'agent', 'pending', '--output', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ nodes: [{ state: 'pending' }, { approvals_needed: 2 }] });
  });
});

describe('agent approve and deny', () => {
  it.each([
    ['approve', 'ApproveNode', 'approved', 'Node approved; it comes in when it attests next'],
    ['approve', 'ApproveNode', 'pending', 'Approval noted; the node waits for another person to approve it'],
    ['deny', 'DenyNode', 'denied', 'Node denied'],
  ] as const)('%s answers what became of the node (%s: %s)', async (verb, method, state, words) => {
    const { stdout, calls } = await run(
      { [ADMISSION]: { [method]: () => ({ ...node, state }) } },
      ...['agent', verb, '--spiffe-id', ID, '--reason', 'rack 7'],
    );
    const shown = state === 'pending' ? 'pending (1 of 2 approvals)' : state;
    expect(stdout).toBe(`${words}\n\n${nodeText(shown)}`);
    expect(calls).toEqual([{ method, request: { id, reason: 'rack 7', digest: '' } }]);
  });

  it.each(['approve', 'deny'])('%s needs a SPIFFE ID', async (verb) => {
    const { code, stderr } = await run({}, 'agent', verb);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: a SPIFFE ID is required/);
  });
});
