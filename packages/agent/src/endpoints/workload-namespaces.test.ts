import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { typescriptProcessArgs } from '@bonafide/testing/typescript-process';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import type { WorkloadAttestor } from '../workload-attestation/workload-attestor.js';
import { createWorkloadEndpoint, type WorkloadEndpoint } from './workload-endpoint.js';

const { definition } = loadService('SpiffeWorkloadAPI');
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const LISTENER = new URL('listen-in-namespace.ts', import.meta.url);
/** Of util-linux. */
const UNSHARE = ['unshare', '--pid', '--fork', '--kill-child'] as const;
const canUnshare = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;
const NEEDS_UNSHARE = 'needs unshare and root';

/** What tells processes of one user apart: the pid, as the endpoint has it, and the namespace, as procfs has it. */
const whereabouts: WorkloadAttestor = {
  attest: ({ pid, procPath }) =>
    Promise.resolve([
      { type: 'seen', value: `pid:${pid}` },
      { type: 'seen', value: readlinkSync(join(procPath, 'ns', 'pid')) },
    ]),
};

let directory: TemporaryDirectory;
const closers: (() => unknown)[] = [];

beforeEach(() => {
  directory = createTemporaryDirectory({ isPublic: true });
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  directory.remove();
});

async function start(within: readonly string[] = []): Promise<WorkloadProcess> {
  const workload = await WorkloadProcess.start(undefined, within);
  closers.push(() => {
    workload[Symbol.dispose]();
  });
  return workload;
}

/** The pid that the first process of a new namespace has out here. */
function pidOf({ child }: WorkloadProcess, depth = 1): number {
  let pid = child.pid ?? -1;
  for (let level = 0; level < depth; level += 1) {
    pid = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
  }
  return pid;
}

describe.runIf(canUnshare)(`processes of other pid namespaces (${NEEDS_UNSHARE})`, () => {
  let authority: TestAuthority;
  let identities: MemoryIdentities;
  let endpoint: WorkloadEndpoint;
  let socketPath: string;

  beforeAll(async () => {
    authority = await TestAuthority.create('example.org');
  });
  beforeEach(async () => {
    identities = new MemoryIdentities(authority.trustDomain);
    socketPath = directory.join('agent.sock');
    endpoint = createWorkloadEndpoint({
      socketPath,
      identities,
      ...WITHOUT_TOKENS,
      attest: createWorkloadAttestation({
        attestors: new Map([['whereabouts', whereabouts]]),
        clock: systemClock,
        log: silentLogger,
      }),
      clock: systemClock,
      log: silentLogger,
    });
    await endpoint.listen();
    closers.push(() => endpoint.close(0));
  });

  async function register(paths: ReadonlyMap<string, string>): Promise<void> {
    const entries = await Promise.all(
      [...paths].map(async ([selector, path]) => ({
        selectors: [selector],
        svid: await authority.issueX509Svid(path),
      })),
    );
    identities.set({ entries, bundles: [authority.bundle()] });
  }

  async function idsOf(workload: WorkloadProcess): Promise<readonly string[]> {
    await workload.connect(socketPath);
    const message = await workload.message(workload.call(FETCH));
    return definition.FetchX509SVID.responseDeserialize(message).svids.map(({ spiffeId }) => spiffeId);
  }

  it('get each its own identity, by the pid that they have out here', async () => {
    const [here, below, beside] = [await start(), await start(UNSHARE), await start(UNSHARE)];
    const twiceBelow = await start([...UNSHARE, ...UNSHARE]);
    expect([below, beside, twiceBelow].map(({ ownPid }) => ownPid)).toEqual([1, 1, 1]);
    const all = [
      { workload: here, pid: here.ownPid, path: '/here' },
      { workload: below, pid: pidOf(below), path: '/below' },
      { workload: beside, pid: pidOf(beside), path: '/beside' },
      { workload: twiceBelow, pid: pidOf(twiceBelow, 2), path: '/twice-below' },
    ];
    await register(
      new Map([
        ...all.map(({ pid, path }) => [`seen:pid:${pid}`, path] as const),
        ...all.map(({ pid, path }) => [`seen:${readlinkSync(`/proc/${pid}/ns/pid`)}`, `/of${path}`] as const),
        ['seen:pid:1', '/first-process-of-the-node'],
      ]),
    );
    for (const { workload, path } of all) {
      const expected = [`spiffe://example.org${path}`, `spiffe://example.org/of${path}`];
      expect([...(await idsOf(workload))].sort()).toEqual(expected.sort());
    }
  });

  it('get nothing for the pid that they have in there', async () => {
    await register(new Map([['seen:pid:1', '/first-process-of-the-node']]));
    const workload = await start(UNSHARE);
    await workload.connect(socketPath);
    expect(await workload.status(workload.call(FETCH))).toEqual({
      code: status.PERMISSION_DENIED,
      message: 'no identity issued',
    });
  });

  it('take their streams with them when they exit', async () => {
    const workload = await start(UNSHARE);
    await register(new Map([[`seen:pid:${pidOf(workload)}`, '/below']]));
    expect(await idsOf(workload)).toEqual(['spiffe://example.org/below']);
    expect(identities.subscriberCount).toBe(1);
    process.kill(pidOf(workload), 'SIGKILL');
    await waitFor('the stream to end', () => identities.subscriberCount === 0);
  });
});

describe.runIf(canUnshare)(`an endpoint in a pid namespace of its own (${NEEDS_UNSHARE})`, () => {
  function listenIn(unshare: readonly string[]): { path: string; output: () => string } {
    const path = directory.join('below.sock');
    const [command = '', ...args] = [
      ...unshare,
      process.execPath,
      ...typescriptProcessArgs(LISTENER, [path]),
    ];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    closers.push(() => child.kill('SIGKILL'));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    return { path, output: () => output };
  }

  it('serves who is in there and refuses whom it cannot see', async () => {
    const { path, output } = listenIn([...UNSHARE, '--mount-proc']);
    await waitFor('it to be served', () => output().includes('served itself'), { explain: output });
    const stranger = connect(path);
    let received = '';
    stranger.on('data', (bytes) => (received += bytes.toString()));
    stranger.on('error', () => undefined);
    await once(stranger, 'close');
    expect(received).toBe('');
    await waitFor('the reason in the log', () => output().includes('the caller is not visible from here'), {
      explain: output,
    });
  });

  it('does not listen beside a procfs that shows other processes than its own', async () => {
    const { output } = listenIn(UNSHARE);
    await waitFor(
      'the refusal',
      () => output().includes('/proc shows the processes of another pid namespace'),
      {
        explain: output,
      },
    );
    expect(output()).not.toContain('served');
  });
});
