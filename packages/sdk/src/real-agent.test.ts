/** X509Source with a real server and agent: they come and go, the identity stays until it is taken away. */
import { once } from 'node:events';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { X509Source } from './x509-source.js';

const WEB = 'spiffe://example.org/web';

const directory = createTemporaryDirectory();
let server: LaunchedServer;
let agent: LaunchedAgent;
let source: X509Source;
let entryId: string;
const denials: string[] = [];

beforeAll(async () => {
  server = await launchServer({ directory: directory.path });
  agent = await launchAgent({ server, directory: directory.path });
  const uid = process.getuid?.() ?? 0;
  const created = await server.commandOutput(
    ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', WEB],
    ...['--selector', `unix:uid:${uid}`, '--x509-svid-ttl', '3600', '--output', 'json'],
  );
  entryId = /"id":\s*"([0-9a-f-]{36})"/.exec(created)?.[1] ?? '';
  source = await X509Source.create({ address: agent.address });
  source.on('denied', (error) => denials.push(error.message));
});

afterAll(async () => {
  await source.close();
  await agent.stop();
  await server.stop();
  directory.remove();
});

describe('X509Source with a real agent', () => {
  it('holds its identity through an agent that restarts, is killed, and comes back without its server', async () => {
    expect(source.svid.spiffeId).toBe(WEB);
    const { svid } = source;
    for (const goAway of [
      () => agent.stop(),
      () => agent.kill9(),
      () => server.kill9().then(() => agent.kill9()),
    ]) {
      const gone = once(source, 'disconnect');
      await goAway();
      await gone;
      expect(source.svid.certificateChain).toEqual(svid.certificateChain);
      const back = once(source, 'update');
      await agent.process.start();
      await back;
      expect(source.svid.spiffeId).toBe(WEB);
    }
    await server.process.start();
    expect(denials).toEqual([]);
  });

  it('loses it when the entry is deleted, and has it again when there is a new one', async () => {
    const denied = once(source, 'denied');
    await server.commandOutput('entry', 'delete', '--entry-id', entryId);
    await denied;
    expect(() => source.svid).toThrow();
    const back = once(source, 'update');
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', `${WEB}/again`],
      ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`],
    );
    await back;
    await waitFor('the new identity', () => source.svid.spiffeId === `${WEB}/again`);
  });
});
