import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { canRunAsOthers, type Account } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { attestorHost } from '../workload-attestation/attestor-host-samples.js';
import { createWorkloadAttestors, workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import type { WorkloadAttestor } from '../workload-attestation/workload-attestor.js';
import { createWorkloadEndpoint, type WorkloadEndpoint } from './workload-endpoint.js';

const { definition } = loadService('SpiffeWorkloadAPI');
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const ALICE = { uid: 64_001, gid: 64_001 };
const BOB = { uid: 64_002, gid: 64_002, groups: [64_010] };
const SELF = { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 };
const NEEDS_ROOT = 'needs root, to be several users';
const hasPerl = spawnSync('perl', ['-MSocket', '-e', '1']).status === 0;

let authority: TestAuthority;
let directory: TemporaryDirectory;
let identities: MemoryIdentities;
let endpoint: WorkloadEndpoint | undefined;
const workloads: WorkloadProcess[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});
beforeEach(() => {
  directory = createTemporaryDirectory({ isPublic: true });
  identities = new MemoryIdentities(authority.trustDomain);
});
afterEach(async () => {
  for (const workload of workloads.splice(0)) workload[Symbol.dispose]();
  await endpoint?.close(0);
  endpoint = undefined;
  directory.remove();
});

/** @returns the socket's path. */
async function serve(extra: ReadonlyMap<string, WorkloadAttestor> = new Map()): Promise<string> {
  const config = workloadAttestorsConfigSchema.parse({ unix: { discover_workload_path: true } });
  const attestors = new Map([...createWorkloadAttestors(config, attestorHost()), ...extra]);
  const socketPath = directory.join('agent.sock');
  endpoint = createWorkloadEndpoint({
    socketPath,
    identities,
    ...WITHOUT_TOKENS,
    attest: createWorkloadAttestation({ attestors, clock: systemClock, log: silentLogger }),
    clock: systemClock,
    log: silentLogger,
  });
  await endpoint.listen();
  return socketPath;
}

async function start(account?: Account): Promise<WorkloadProcess> {
  const workload = await WorkloadProcess.start(account);
  workloads.push(workload);
  return workload;
}

async function startHandingOver(
  socketPath: string,
  program: readonly string[],
  account?: Account,
): Promise<WorkloadProcess> {
  const workload = await WorkloadProcess.startHandingOver({ socketPath, method: FETCH, program }, account);
  workloads.push(workload);
  return workload;
}

/** Registers one identity for each selector, `/<selector's value>` with colons as dashes. */
async function register(...selectors: readonly string[]): Promise<void> {
  const entries = await Promise.all(
    selectors.map(async (selector) => ({
      selectors: [selector],
      svid: await authority.issueX509Svid(idOf(selector)),
    })),
  );
  identities.set({ entries, bundles: [authority.bundle()] });
}

function idOf(selector: string): string {
  return `/${selector.replaceAll(/[^a-z0-9]/g, '-')}`;
}

function uidSelector({ uid }: Account): string {
  return `unix:uid:${uid}`;
}

function idsIn(message: Buffer): readonly string[] {
  return definition.FetchX509SVID.responseDeserialize(message).svids.map(({ spiffeId }) => spiffeId);
}

describe('processes at the workload endpoint', () => {
  it('get their identity, and another one when it changes', async () => {
    const socketPath = await serve();
    await register(uidSelector(SELF));
    const workload = await start();
    await workload.connect(socketPath);
    const call = workload.call(FETCH);
    expect(idsIn(await workload.message(call))).toEqual([`spiffe://example.org${idOf(uidSelector(SELF))}`]);
    await register(uidSelector(SELF), `unix:gid:${SELF.gid}`);
    expect(idsIn(await workload.message(call, 1))).toHaveLength(2);
    await register();
    expect(await workload.status(call)).toEqual({
      code: status.PERMISSION_DENIED,
      message: 'no identity issued',
    });
  });

  it.runIf(canRunAsOthers())(`of two users never see each other's identity (${NEEDS_ROOT})`, async () => {
    const socketPath = await serve();
    await register(uidSelector(ALICE), uidSelector(BOB), 'unix:supplementary_gid:64010');
    const pairs = await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        const account = index % 2 === 0 ? ALICE : BOB;
        const workload = await start(account);
        await workload.connect(socketPath);
        return { account, workload };
      }),
    );
    const expected = new Map([
      [ALICE.uid, [`spiffe://example.org${idOf(uidSelector(ALICE))}`]],
      [
        BOB.uid,
        [uidSelector(BOB), 'unix:supplementary_gid:64010'].map(
          (selector) => `spiffe://example.org${idOf(selector)}`,
        ),
      ],
    ]);
    await Promise.all(
      pairs.map(async ({ account, workload }) => {
        for (let round = 0; round < 30; round += 1) {
          const call = workload.call(FETCH);
          expect(idsIn(await workload.message(call))).toEqual(expected.get(account.uid));
          workload.cancel(call);
        }
      }),
    );
  });

  it.runIf(canRunAsOthers())(`of a user without entry get nothing (${NEEDS_ROOT})`, async () => {
    const socketPath = await serve();
    await register(uidSelector(SELF), uidSelector(ALICE));
    const workload = await start(BOB);
    await workload.connect(socketPath);
    expect(await workload.status(workload.call(FETCH))).toEqual({
      code: status.PERMISSION_DENIED,
      message: 'no identity issued',
    });
    const bundles = workload.call('SpiffeWorkloadAPI/FetchX509Bundles');
    expect((await workload.status(bundles)).code).toBe(status.PERMISSION_DENIED);
  });

  it('that exit while they are attested get nothing, and their connection goes', async () => {
    const attested: boolean[] = [];
    const slow: WorkloadAttestor = {
      attest: async (target) => {
        process.kill(target.pid, 'SIGKILL');
        await waitFor('the process to be gone', () => !target.isAlive());
        attested.push(target.isAlive());
        return [];
      },
    };
    const socketPath = await serve(new Map([['slow', slow]]));
    await register(uidSelector(SELF));
    const workload = await start();
    await workload.connect(socketPath);
    workload.call(FETCH);
    await waitFor('the attestation to end', () => attested.length === 1);
    expect(attested).toEqual([false]);
    expect(identities.subscriberCount).toBe(0);
  });

  it.runIf(hasPerl)(
    'that exit, leaving their connection to a child, take its streams with them (needs perl)',
    async () => {
      const socketPath = await serve();
      await register(uidSelector(SELF));
      const workload = await startHandingOver(socketPath, ['sleep', '60']);
      await workload.message(1);
      workload.child.kill('SIGKILL'); // the caller; its child still holds the socket
      await workload.disconnected();
      expect(identities.subscriberCount).toBe(0);
    },
  );

  it.runIf(hasPerl)('that exit before the child they left it to asks are refused (needs perl)', async () => {
    const socketPath = await serve();
    await register(uidSelector(SELF));
    const workload = await startHandingOver(socketPath, ['true']);
    await workload.disconnected();
    expect(workload.messages(1)).toEqual([]);
    expect(identities.subscriberCount).toBe(0);
  });

  it.runIf(hasPerl)(
    'that became another program are attested as it, and still as their user (needs perl)',
    async () => {
      const socketPath = await serve();
      const program = directory.join('my program');
      copyFileSync('/bin/sleep', program);
      await register(uidSelector(SELF), `unix:path:${program}`);
      const workload = await startHandingOver(socketPath, [program, '60']);
      expect(idsIn(await workload.message(1))).toHaveLength(2);
    },
  );

  it.runIf(hasPerl && canRunAsOthers())(
    `that became another user through a set-uid program lose their connection (needs perl, ${NEEDS_ROOT})`,
    async () => {
      const socketPath = await serve();
      const program = directory.join('set-uid');
      copyFileSync('/bin/sleep', program);
      chownSync(program, BOB.uid, BOB.gid);
      chmodSync(program, 0o6755);
      await register(uidSelector(ALICE), uidSelector(BOB), `unix:path:${program}`);
      const workload = await startHandingOver(socketPath, [program, '60'], ALICE);
      await workload.disconnected();
      expect(workload.messages(1)).toEqual([]);
      expect(identities.subscriberCount).toBe(0);
    },
  );

  it.each([
    ['none', {}],
    ['another value', { 'workload.spiffe.io': 'TRUE' }],
    ['it twice', { 'workload.spiffe.io': ['true', 'true'] }],
  ])('that send %s for the security header are refused before they are attested', async (_name, headers) => {
    let attestations = 0;
    const counting: WorkloadAttestor = {
      attest: () => {
        attestations += 1;
        return Promise.resolve([]);
      },
    };
    const socketPath = await serve(new Map([['counting', counting]]));
    await register(uidSelector(SELF));
    const workload = await start();
    await workload.connect(socketPath);
    expect((await workload.status(workload.call(FETCH, { headers }))).code).toBe(status.INVALID_ARGUMENT);
    expect(attestations).toBe(0);
  });

  it('that never read cost one message and the newest, however much changes', async () => {
    const socketPath = await serve();
    const contents = await Promise.all(
      ['a', 'b'].map(async (name) => ({
        entries: await Promise.all(
          Array.from({ length: 20 }, async (_, index) => ({
            selectors: [uidSelector(SELF)],
            svid: await authority.issueX509Svid(`/${name}/${index}`),
          })),
        ),
        bundles: [authority.bundle()],
      })),
    );
    const [first, second] = contents;
    if (first === undefined || second === undefined) throw new Error('no content');
    identities.set(first);
    const workload = await start();
    await workload.connect(socketPath);
    for (let stream = 0; stream < 10; stream += 1) workload.call(FETCH, { reads: false });
    await waitFor('the streams to be open', () => identities.subscriberCount === 10);
    const push = async (times: number): Promise<number> => {
      for (let count = 0; count < times; count += 1) {
        identities.set(count % 2 === 0 ? second : first);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return heldBytes();
    };
    const before = await push(100);
    const after = await push(1000); // to 10 streams, 20 KB each: 200 MB, were they kept
    expect(after - before).toBeLessThan(10e6);
  });

  it.runIf(canRunAsOthers())(`leave no descriptor behind when they are killed (${NEEDS_ROOT})`, async () => {
    const socketPath = await serve();
    await register(uidSelector(SELF), uidSelector(ALICE));
    const openFiles = (): number => readdirSync('/proc/self/fd').filter((fd) => Number(fd) > 2).length;
    const before = openFiles();
    const crowd = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const workload = await start(index % 2 === 0 ? ALICE : undefined);
        await workload.connect(socketPath);
        workload.call(FETCH);
        return workload;
      }),
    );
    await waitFor('every stream', () => identities.subscriberCount === crowd.length);
    for (const { child } of crowd) child.kill('SIGKILL');
    await waitFor('every stream to end', () => identities.subscriberCount === 0);
    await waitFor('every descriptor to be closed', () => openFiles() <= before);
  });
});

function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') Reflect.apply(collect, undefined, []);
  const { external, heapUsed } = process.memoryUsage();
  return external + heapUsed;
}
