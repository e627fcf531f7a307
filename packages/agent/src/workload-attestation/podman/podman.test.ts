import { chownSync, symlinkSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { libpodContainer, TestContainerEngine } from '@bonafide/testing/container-engine';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AttestedProcess } from '../attested-process.js';
import { attestorHost } from '../attestor-host-samples.js';
import { writeProcessFolder } from '../container/process-folder-samples.js';
import { podman, PodmanAttestor } from './podman.js';

const A = '9bca8d63d5fa610783847915bcff0ecac1273e5b4bed3f6fa1b07350e0135961';
const POD = '34a2062fd26c805aa8cf814cdfe479322b791f80afb9ea4db02d50375df14b41';
const IMAGE = 'f00d'.repeat(16);
const FIRST = 100;
const ROOTS = `/machine.slice/machine-libpod_pod_${POD}.slice/libpod-${A}.scope`;
const USERS = `/user.slice/user-64001.slice/user@64001.service/user.slice/libpod-${A}.scope`;

let directory: TemporaryDirectory;
let engine: TestContainerEngine;
const children: ChildProcess[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory({ isPublic: true });
  engine = await TestContainerEngine.start(directory.join('root.sock'));
  engine.run({
    id: A,
    pid: FIRST,
    image: 'docker.io/library/web:1',
    imageId: IMAGE,
    labels: { app: 'web' },
    env: ['container=podman'],
    pod: { id: POD, name: 'shop' },
  });
  processFolder('self', '/agent');
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await engine.stop();
  directory.remove();
});

function processFolder(pid: number | string, cgroup: string): string {
  return writeProcessFolder(directory.join('proc', String(pid)), { cgroups: [`0::${cgroup}`] });
}

/** @param firstCgroup where the container's first process is, by default where the caller is. */
async function attest(
  cgroup: string,
  config: Record<string, unknown> = {},
  firstCgroup = cgroup,
): Promise<readonly string[]> {
  processFolder(FIRST, `${firstCgroup}/container`);
  const procPath = processFolder(7, `${cgroup}/container`);
  const process: AttestedProcess = { pid: 7, uid: 1000, gid: 1000, procPath, isAlive: () => true };
  const attestor = new PodmanAttestor(
    podman.configSchema.parse({
      podman_socket_path: `unix://${directory.join('root.sock')}`,
      podman_socket_path_template: `unix://${directory.join('user-%d.sock')}`,
      ...config,
    }),
    attestorHost(),
    { procRoot: directory.join('proc'), ownProcPath: directory.join('proc', 'self') },
  );
  const selectors = await attestor.attest(process, new AbortController().signal);
  attestor.close();
  return selectors.map(formatSelector);
}

/** An engine that runs as this user and says the same about every container. */
async function userEngine(uid: number): Promise<void> {
  const socketPath = directory.join(`user-${uid}.sock`);
  const answer = JSON.stringify(libpodContainer({ id: A, pid: FIRST, labels: { app: 'web' } }));
  const program = `require('node:http').createServer((_, r) => r.end(process.argv[2])).listen(process.argv[1])`;
  chownSync(directory.path, uid, uid);
  const child = spawn(process.execPath, ['-e', program, socketPath, answer], {
    uid,
    gid: uid,
    cwd: '/',
    stdio: 'ignore',
  });
  children.push(child);
  await once(child, 'spawn');
  await waitFor('the engine', async () => {
    const socket = connect(socketPath);
    await once(socket, 'connect');
    socket.destroy();
    return true;
  });
}

describe('the podman attestor', () => {
  it("proves labels, variables, image and pod of the caller's container", async () => {
    expect(await attest(ROOTS)).toEqual([
      'podman:uid:0',
      'podman:label:app:web',
      'podman:env:container=podman',
      'podman:image:docker.io/library/web:1',
      `podman:image_id:sha256:${IMAGE}`,
      'podman:pod:shop',
    ]);
    expect(engine.requests).toEqual([
      `/v4.0.0/libpod/containers/${A}/json`,
      `/v4.0.0/libpod/pods/${POD}/json`,
    ]);
  });

  it.each([
    `/docker/${A}`,
    `/system.slice/docker-${A}.scope`,
    '/system.slice/web.service',
    `/libpod-conmon-${A}.scope`,
  ])('knows nothing of a process in %s, and asks nobody', async (cgroup) => {
    expect(await attest(cgroup)).toEqual([]);
    expect(engine.requests).toEqual([]);
  });

  it('needs a pod that is the one it asked for', async () => {
    engine.lie = (request, response) => {
      if (request.url?.includes('/pods/') === true) response.end(JSON.stringify({ Id: A, Name: 'bank' }));
      else engine.answer(request, response);
    };
    await expect(attest(ROOTS)).rejects.toThrow('pod is not readable');
  });

  it('says so when the container is gone', async () => {
    engine.containers.clear();
    await expect(attest(ROOTS)).rejects.toMatchObject({ reason: 'not_found' });
  });

  it("refuses a caller who is not where the container's first process is", async () => {
    await expect(attest(`/system.slice/ci.service/libpod-${A}.scope`, {}, ROOTS)).rejects.toThrow(
      'not believed',
    );
  });
});

describe("a user's own engine", () => {
  it('is not asked unless the configuration names the user', async () => {
    await expect(attest(USERS)).rejects.toThrow('rootless_uids would have to name 64001');
    await expect(attest(USERS, { rootless_uids: [64002] })).rejects.toMatchObject({
      reason: 'permission_denied',
    });
  });

  it.runIf(canRunAsOthers())(
    "speaks for that user's containers (needs root, to run as that user)",
    async () => {
      await userEngine(64001);
      const selectors = ['podman:uid:64001', 'podman:label:app:web'];
      expect(await attest(USERS, { rootless_uids: [64001] })).toEqual(expect.arrayContaining(selectors));
      expect(await attest(USERS, { rootless_uids: 'any' })).toEqual(expect.arrayContaining(selectors));
      // The same container ID, but the first process is root's.
      await expect(attest(USERS, { rootless_uids: 'any' }, ROOTS)).rejects.toThrow('not believed');
    },
  );

  it.runIf(canRunAsOthers())(
    'speaks for nobody else, wherever its socket stands (needs root, to run as a user)',
    async () => {
      await userEngine(64001);
      const socket = `unix://${directory.join('user-64001.sock')}`;
      await expect(attest(ROOTS, { podman_socket_path: socket })).rejects.toThrow('is user 64001');
      symlinkSync(directory.join('user-64001.sock'), directory.join('user-64002.sock'));
      const other = USERS.replaceAll('64001', '64002');
      await expect(attest(other, { rootless_uids: 'any' })).rejects.toThrow('only an engine of user 64002');
    },
  );

  it("is not root's, which a user could have linked to", async () => {
    symlinkSync(directory.join('root.sock'), directory.join('user-64001.sock'));
    await expect(attest(USERS, { rootless_uids: 'any' })).rejects.toThrow('only an engine of user 64001');
    expect(engine.requests).toEqual([]);
  });
});
