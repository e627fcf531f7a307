/** The lines of the log that scripts for SPIRE wait for, as docs/spire-compatibility.md promises them, while the same things happen here. */
import { readFile } from 'node:fs/promises';
import { callWorkloadApi } from '@bonafide/agent/cli/api/workload-call';
import { runServerProgram } from '@bonafide/server/cli/program';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

interface Line {
  readonly msg: string;
  readonly [field: string]: unknown;
}

it('says what SPIRE says, from the start of both to the ban of the agent', async () => {
  await using server = await InProcessServer.start();
  const joinToken = await server.createToken();
  const entryId = await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
  await using agent = await InProcessAgent.start({ server, joinToken });
  await agent.fetched('the SVID');
  await callWorkloadApi(
    { socketPath: agent.socketPath, timeout: 10 },
    createRecordedHost(),
    (client, settings) => callUnary(client, 'FetchJWTSVID', { audience: ['db'] }, settings),
  );

  const run = async (...argv: string[]): Promise<string> => {
    const host = createRecordedHost();
    const all = [...argv, '--output', 'json', '--socket-path', server.socketPath];
    expect([await runServerProgram(all, host), host.printed.stderr]).toEqual([0, '']);
    return host.printed.stdout;
  };
  const old: Record<string, string> = {};
  for (const kind of ['x509', 'jwt']) {
    const states = JSON.parse(await run('localauthority', kind, 'show')) as {
      active: { authority_id: string };
    };
    const made = JSON.parse(await run('localauthority', kind, 'prepare')) as {
      prepared_authority: { authority_id: string };
    };
    old[kind] = states.active.authority_id;
    await run('localauthority', kind, 'activate', '--authority-id', made.prepared_authority.authority_id);
    await run('localauthority', kind, 'taint', '--authority-id', old[kind]);
  }
  const said = (text: string) => waitFor(text, () => agent.logged(text) > 0);
  await said('Renewing X509-SVID');
  await said('Successfully rotated agent SVID');
  await said('JWT-SVIDs were removed from the JWT cache because they were issued by a tainted authority');
  for (const kind of ['x509', 'jwt'])
    await run('localauthority', kind, 'revoke', '--authority-id', old[kind] ?? '');
  await run('agent', 'ban', '--spiffe-id', agentIdOf(joinToken));
  await expect(agent.ended).rejects.toThrow('banned');
  await said('Agent is banned: removing SVID and shutting down');

  const told = agent.logLines as unknown as readonly Line[];
  const line = (text: string): Line | undefined => told.find(({ msg }) => msg === text);
  for (const text of [
    'Starting agent',
    'Bundle is not found',
    'SVID is not found. Starting node attestation',
    'Node attestation was successful',
    'Agent SVID is tainted by a root authority, forcing rotation',
    'Stopping agent APIs',
  ]) {
    expect(line(text), text).toBeDefined();
  }
  expect(line('Starting agent APIs')).toMatchObject({ apis: 'Workload and SDS APIs' });
  const entry = { entry_id: entryId, spiffe_id: 'spiffe://example.org/web' };
  expect(line('Creating X509-SVID')).toMatchObject(entry);
  expect(line('Renewing X509-SVID')).toMatchObject(entry);
  expect(line('New tainted X.509 authorities found')).toMatchObject({ subject_key_ids: old['x509'] });
  expect(line('Scheduled rotation for SVID entries due to tainted X.509 authorities')).toMatchObject({
    count: 1,
  });

  const lines = (await readFile(server.directory.join('server.log'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as Line);
  const count = (text: string): number => lines.filter(({ msg }) => msg === text).length;
  expect(count('Starting Server APIs')).toBe(2);
  for (const text of ['X509 CA', 'JWT key'].flatMap((words) => [`${words} prepared`, `${words} activated`])) {
    expect(count(text), text).toBeGreaterThan(0);
  }
  expect(count('Successfully rotated X.509 CA')).toBeGreaterThan(0);
  expect(count('Agent banned')).toBe(1);
  for (const [kind, words] of [
    ['x509', 'X.509'],
    ['jwt', 'JWT'],
  ] as const) {
    for (const done of ['tainted', 'revoked']) {
      const text = `${words} authority ${done} successfully`;
      expect(
        lines.find(({ msg }) => msg === text),
        text,
      ).toMatchObject({ local_authority_id: old[kind] });
    }
  }
});
