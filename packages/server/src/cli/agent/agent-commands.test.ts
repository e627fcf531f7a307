import { status } from '@grpc/grpc-js';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices, StubStatus } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from '../program.js';

const SERVICE = 'spire.api.server.agent.v1.Agent';

const one = {
  id: { trustDomain: 'example.org', path: '/spire/agent/join_token/one' },
  attestationType: 'join_token',
  x509svidSerialNumber: '1234',
  x509svidExpiresAt: 1_683_738_216,
  selectors: [
    { type: 'tpm', value: 'pub:1' },
    { type: 'tpm', value: 'pub:2' },
  ],
  canReattest: true,
  agentVersion: '1.2.3',
};
const banned = {
  ...one,
  id: { trustDomain: 'example.org', path: '/spire/agent/join_token/two' },
  banned: true,
  x509svidSerialNumber: '',
  canReattest: false,
  agentVersion: '',
};

const oneText = `SPIFFE ID         : spiffe://example.org/spire/agent/join_token/one
Attestation type  : join_token
Expiration time   : 2023-05-10 17:03:36 +0000 UTC
Serial number     : 1234
Can re-attest     : true
Agent version     : 1.2.3

`;
const bannedText = `SPIFFE ID         : spiffe://example.org/spire/agent/join_token/two
Attestation type  : join_token
Expiration time   : 2023-05-10 17:03:36 +0000 UTC
Banned            : true
Can re-attest     : false

`;

const clock = new FakeClock(new Date('2030-01-01T00:00:00Z'));

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

type Answers = Parameters<typeof startStubServices>[1][typeof SERVICE];

async function run(answers: NonNullable<Answers>, ...argv: readonly string[]) {
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, { [SERVICE]: answers });
  const host = createRecordedHost({ clock });
  const code = await runServerProgram([...argv, '-socketPath', socketPath], host);
  return { code, ...host.printed, calls: server.calls };
}

describe('agent list', () => {
  it('prints agents page by page', async () => {
    const answers = {
      ListAgents: ({ pageToken }: { pageToken: string }) =>
        pageToken === '' ? { agents: [one], nextPageToken: 'x' } : { agents: [banned] },
    };
    const { code, stdout, calls } = await run(answers, 'agent', 'list');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `Found 2 attested agents:\n\n${oneText}${bannedText}`,
    });
    expect(calls).toHaveLength(2);
  });

  it('prints one, none and JSON as SPIRE does', async () => {
    expect((await run({ ListAgents: () => ({ agents: [one] }) }, 'agent', 'list')).stdout).toBe(
      `Found 1 attested agent:\n\n${oneText}`,
    );
    expect((await run({ ListAgents: () => ({}) }, 'agent', 'list')).stdout).toBe(
      'No attested agents found\n',
    );
    expect(
      (await run({ ListAgents: () => ({ agents: [banned] }) }, 'agent', 'list', '-output', 'json')).stdout,
    ).toBe(
      '{"agents":[{"agent_version":"","attestation_type":"join_token","banned":true,"can_reattest":false,"id":{"path":"/spire/agent/join_token/two","trust_domain":"example.org"},"selectors":[{"type":"tpm","value":"pub:1"},{"type":"tpm","value":"pub:2"}],"x509svid_expires_at":"1683738216","x509svid_serial_number":""}],"next_page_token":""}\n',
    );
  });

  it('sends every condition, as count does', async () => {
    const flags = [
      '-selector',
      'tpm:pub:1',
      '-matchSelectorsOn',
      'exact',
      '-attestationType',
      'tpm',
      '-canReattest',
      'false',
      '-banned',
      'true',
      '-expiresBefore',
      '2026-01-02 15:04:05 -0700 -07',
    ];
    const filter = {
      bySelectorMatch: { selectors: [{ type: 'tpm', value: 'pub:1' }], match: 'MATCH_EXACT' },
      byAttestationType: 'tpm',
      byCanReattest: { value: false },
      byBanned: { value: true },
      byExpiresBefore: '2026-01-02 15:04:05 -0700 -07',
    };
    expect(
      (await run({ ListAgents: () => ({}) }, 'agent', 'list', ...flags)).calls[0]?.request,
    ).toMatchObject({ filter });
    const count = await run({ CountAgents: () => ({ count: 1 }) }, 'agent', 'count', ...flags);
    expect(count.calls[0]?.request).toMatchObject({ filter });
    expect(count.stdout).toBe('1 attested agent\n');
  });

  it('has no condition where none is given, or another word than true and false', async () => {
    const { calls } = await run({ ListAgents: () => ({}) }, 'agent', 'list', '-banned', 'all');
    expect(calls[0]?.request).toMatchObject({
      filter: {
        bySelectorMatch: null,
        byAttestationType: '',
        byCanReattest: null,
        byBanned: null,
        byExpiresBefore: '',
      },
    });
  });

  it('takes times of RFC 3339 too', async () => {
    const { calls } = await run(
      { ListAgents: () => ({}) },
      'agent',
      'list',
      '--expires-before',
      '2026-01-02T15:04:05+02:00',
    );
    expect(calls[0]?.request).toMatchObject({ filter: { byExpiresBefore: '2026-01-02 13:04:05 +0000 +00' } });
  });

  it.each(['tomorrow', '2026-01-02', '2026-13-02 15:04:05 -0700 -07', '2026-01-02 15:04:05'])(
    'refuses the time %j',
    async (time) => {
      const { code, stderr } = await run({}, 'agent', 'list', '-expiresBefore', time);
      expect(code).toBe(1);
      expect(stderr).toContain('expected a time such as 2026-01-02T15:04:05Z');
    },
  );
});

describe('agent show', () => {
  it('prints the agent with its selectors', async () => {
    const { code, stdout, calls } = await run(
      { GetAgent: () => one },
      'agent',
      'show',
      '-spiffeID',
      'spiffe://example.org/spire/agent/join_token/one',
    );
    expect(code).toBe(0);
    expect(stdout).toBe(
      `Found an attested agent given its SPIFFE ID\n\n${oneText}Selectors         : tpm:pub:1\nSelectors         : tpm:pub:2\n`,
    );
    expect(calls[0]?.request).toEqual({ id: one.id, outputMask: null });
  });
});

describe('agent ban and evict', () => {
  it.each([
    ['ban', 'BanAgent', 'Agent banned successfully\n'],
    ['evict', 'DeleteAgent', 'Agent evicted successfully\n'],
  ])('%s names one agent', async (command, method, text) => {
    const argv = ['agent', command, '-spiffeID', 'spiffe://example.org/spire/agent/join_token/one'];
    const answers = { [method]: () => ({}) };
    const { code, stdout, calls } = await run(answers, ...argv);
    expect({ code, stdout }).toEqual({ code: 0, stdout: text });
    expect(calls[0]).toEqual({ method, request: { id: one.id } });
    expect((await run(answers, ...argv, '-output', 'json')).stdout).toBe('{}\n');
  });

  it.each(['show', 'ban', 'evict'])('%s needs a SPIFFE ID', async (command) => {
    expect((await run({}, 'agent', command)).stderr).toMatch(
      /^Error: a SPIFFE ID is required; add --spiffe-id/,
    );
    expect((await run({}, 'agent', command, '-spiffeID', 'one')).stderr).toContain(
      'SPIFFE ID must start with spiffe://',
    );
  });

  it('passes on that there is no such agent', async () => {
    const answers = {
      BanAgent: () => {
        throw new StubStatus(status.NOT_FOUND, 'agent not found');
      },
    };
    expect(await run(answers, 'agent', 'ban', '-spiffeID', 'spiffe://a/b')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Error: agent not found\n',
    });
  });
});

describe('agent purge', () => {
  const now = clock.now().getTime() / 1000;
  const agents = [
    { id: { trustDomain: 'a', path: '/old' }, x509svidExpiresAt: now - 31 * 24 * 3600 },
    { id: { trustDomain: 'a', path: '/stuck' }, x509svidExpiresAt: now - 60 * 24 * 3600 },
    { id: { trustDomain: 'a', path: '/young' }, x509svidExpiresAt: now - 29 * 24 * 3600 },
  ];
  const answers = {
    ListAgents: () => ({ agents }),
    DeleteAgent: ({ id }: { id: { path: string } }) => {
      if (id.path === '/stuck') throw new StubStatus(status.INTERNAL, 'no luck');
      return {};
    },
  };

  it('evicts what ended long ago and lists what it could not', async () => {
    const { code, stdout, stderr, calls } = await run(answers, 'agent', 'purge');
    expect(code).toBe(1);
    expect(stdout).toBe(`Found 2 expired agents

Agents purged:
SPIFFE ID         : spiffe://a/old
Agents not purged:
SPIFFE ID         : spiffe://a/stuck
Error             : no luck
`);
    expect(stderr).toBe('Error: failed to purge one or more agents\n');
    expect(calls[0]?.request).toMatchObject({
      filter: { byCanReattest: { value: true } },
      outputMask: { x509svidExpiresAt: true },
    });
  });

  it('only tells in a dry run', async () => {
    const { code, stdout, calls } = await run(
      answers,
      'agent',
      'purge',
      '-dryRun',
      '-expiredFor',
      '1440h30m',
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'No agents to purge.\n' });
    const dry = await run(answers, 'agent', 'purge', '-dryRun', '-expiredFor', '24h');
    expect(dry.code).toBe(0);
    expect(dry.stdout).toMatch(
      /^Found 3 expired agents\n\n\nAgents that can be purged:\nSPIFFE ID {9}: spiffe:\/\/a\/old\n/,
    );
    expect([...calls, ...dry.calls].map(({ method }) => method)).toEqual(['ListAgents', 'ListAgents']);
  });

  it('prints JSON as SPIRE does', async () => {
    expect((await run(answers, 'agent', 'purge', '-output', 'json')).stdout).toBe(
      '{"expired_agents":[{"agent_id":"spiffe://a/old","deleted":true},{"agent_id":"spiffe://a/stuck","deleted":false,"error":"no luck"}]}\n',
    );
  });

  it('refuses what is no duration', async () => {
    expect((await run(answers, 'agent', 'purge', '-expiredFor', '30d')).stderr).toContain(
      '"30d" is not a duration; expected numbers with units',
    );
  });
});
