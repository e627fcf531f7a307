import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';

const { definition } = loadService('SpiffeWorkloadAPI');
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const PERMISSION_DENIED = 7;
const WEB = { uid: 64_101, gid: 64_101 };
const DATABASE = { uid: 64_102, gid: 64_102, groups: [64_110] };
const STRANGER = { uid: 64_103, gid: 64_103 };
const NODE = 'spiffe://example.org/node';

/** The SPIFFE IDs and serial numbers of a message of the Workload API. */
function identitiesOf(message: Buffer): readonly { spiffeId: string; serialNumber: string }[] {
  const { svids } = definition.FetchX509SVID.responseDeserialize(message);
  return svids.map(({ spiffeId, x509Svid }) => {
    const verified = parseX509SvidLeaf(firstCertificate(x509Svid));
    expect(verified.spiffeId).toBe(spiffeId);
    return { spiffeId, serialNumber: verified.leaf.serialNumber };
  });
}

/** The chain is certificates end to end; each says its own length in two bytes after 30 82. */
function firstCertificate(chain: Buffer): Buffer {
  return chain.subarray(0, 4 + chain.readUInt16BE(2));
}

describe.runIf(canRunAsOthers())('a trust domain of real processes and several users (needs root)', () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  const workloads: WorkloadProcess[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    server = await launchServer({ directory: directory.path });
    agent = await launchAgent({ server, directory: directory.path, spiffeId: NODE });
  });

  afterAll(async () => {
    for (const workload of workloads) workload[Symbol.dispose]();
    await agent.stop();
    await server.stop();
    directory.remove();
  });

  async function start(account: { uid: number; gid: number; groups?: number[] }): Promise<WorkloadProcess> {
    const workload = await WorkloadProcess.start(account);
    workloads.push(workload);
    await workload.connect(agent.socketPath);
    return workload;
  }

  async function register(path: string, ...options: readonly string[]): Promise<string> {
    const output = await server.commandOutput(
      ...['entry', 'create', '--parent-id', NODE, '--spiffe-id', `spiffe://example.org${path}`],
      ...options,
    );
    const id = /^Entry ID\s*: (\S+)$/m.exec(output)?.[1];
    if (id === undefined) throw new Error(`no entry id in ${output}`);
    return id;
  }

  /** Asks again until the agent has the entry; each attempt is a call of its own. */
  async function firstMessage(workload: WorkloadProcess): Promise<{ call: number; message: Buffer }> {
    return await waitFor('an identity', async () => {
      const call = workload.call(FETCH);
      const message = await workload.message(call).catch(() => undefined);
      return message === undefined ? undefined : { call, message };
    });
  }

  it('gives each user its own identity and a stranger none', async () => {
    await register('/web', '--selector', `unix:uid:${WEB.uid}`);
    await register(
      '/database',
      ...['--selector', `unix:gid:${DATABASE.gid}`, '--selector', 'unix:supplementary_gid:64110'],
    );
    const [web, database, stranger] = await Promise.all([start(WEB), start(DATABASE), start(STRANGER)]);
    const ids = async (workload: WorkloadProcess): Promise<string[]> =>
      identitiesOf((await firstMessage(workload)).message).map(({ spiffeId }) => spiffeId);
    expect(await ids(web)).toEqual(['spiffe://example.org/web']);
    expect(await ids(database)).toEqual(['spiffe://example.org/database']);
    expect(await stranger.status(stranger.call(FETCH))).toEqual({
      code: PERMISSION_DENIED,
      message: 'no identity issued',
    });
  });

  it('pushes a new, a changed and a deleted entry down the open stream', async () => {
    const workload = await start(WEB);
    const { call, message } = await firstMessage(workload);
    const before = identitiesOf(message);

    const entryId = await register('/web-too', '--selector', `unix:uid:${WEB.uid}`, '--hint', 'second');
    const grown = identitiesOf(await workload.message(call, 1));
    expect(grown.map(({ spiffeId }) => spiffeId)).toEqual([
      'spiffe://example.org/web',
      'spiffe://example.org/web-too',
    ]);
    expect(grown[0]).toEqual(before[0]);

    await server.commandOutput(
      ...['entry', 'update', '--entry-id', entryId, '--parent-id', NODE, '--hint', 'second'],
      ...['--spiffe-id', 'spiffe://example.org/web-three', '--selector', `unix:uid:${WEB.uid}`],
    );
    const changed = identitiesOf(await workload.message(call, 2));
    expect(changed.map(({ spiffeId }) => spiffeId)).toEqual([
      'spiffe://example.org/web',
      'spiffe://example.org/web-three',
    ]);

    await server.commandOutput('entry', 'delete', '--entry-id', entryId);
    expect(identitiesOf(await workload.message(call, 3))).toEqual(before);
  });

  it('rotates a short-lived SVID down the open stream, with time to spare', async () => {
    await register('/short', '--selector', `unix:uid:${STRANGER.uid}`, '--x509-svid-ttl', '8');
    const workload = await start(STRANGER);
    const { call, message } = await firstMessage(workload);
    const serials = new Set(identitiesOf(message).map(({ serialNumber }) => serialNumber));
    await waitFor(
      'two rotations',
      () => {
        for (const one of workload.messages(call)) serials.add(identitiesOf(one)[0]?.serialNumber ?? '');
        return serials.size >= 3;
      },
      { limitMs: 150_000 },
    );
  });

  it('ends a banned agent, and its workloads at once with it', async () => {
    const banned = await launchAgent({ server, directory: directory.path, name: 'banned' });
    try {
      const path = 'spiffe://example.org/soon-gone';
      await server.commandOutput(
        ...['entry', 'create', '--parent-id', banned.spiffeId],
        ...['--spiffe-id', path, '--selector', `unix:uid:${WEB.uid}`],
      );
      const workload = await WorkloadProcess.start(WEB);
      workloads.push(workload);
      await workload.connect(banned.socketPath);
      await firstMessage(workload);
      await server.commandOutput('agent', 'ban', '--spiffe-id', banned.spiffeId);
      await waitFor('the banned agent to end', () => !banned.process.isRunning);
      expect(banned.process.exitCode).toBe(1);
      expect(banned.process.output).toContain('is banned');
      await workload.disconnected();
    } finally {
      await banned.kill9();
    }
  });
});
