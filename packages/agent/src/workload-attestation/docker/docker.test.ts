import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { A, B, DockerNode, FIRST, SELECTORS } from './docker-node-samples.js';

const POD = '2c48913c-b29f-11e7-9350-020968147796';

let node: DockerNode;
beforeEach(async () => {
  node = await DockerNode.start();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

describe('the docker attestor', () => {
  it("proves labels, variables and image of the caller's container, as SPIRE's does", async () => {
    expect(await node.attest(`/docker/${A}/below`)).toEqual(SELECTORS);
    expect(node.engine.requests).toEqual([`/containers/${A}/json`]);
  });

  it('asks in the version that the configuration names', async () => {
    await node.attest(`/docker/${A}`, { docker_version: '1.41' });
    expect(node.engine.requests).toEqual([`/v1.41/containers/${A}/json`]);
  });

  it.each(['/system.slice/nginx.service', `/system.slice/cri-containerd-${A}.scope`, `/crio-${A}.scope`])(
    'knows nothing of a process in %s, and asks nobody',
    async (cgroup) => {
      expect(await node.attest(cgroup)).toEqual([]);
      expect(node.engine.requests).toEqual([]);
    },
  );

  it('leaves a pod that is not its own to others', async () => {
    expect(await node.attest(`/kubepods/pod${POD}/${B}`)).toEqual([]);
    await expect(node.attest(`/docker/${B}`)).rejects.toMatchObject({ reason: 'not_found' });
  });

  it('leaves out a variable that is longer than a selector may be, and a container without an image is one', async () => {
    node.engine.run({ id: A, pid: FIRST, image: '', env: [`CERTIFICATE=${'x'.repeat(3000)}`, 'A=b'] });
    expect(await node.attest(`/docker/${A}`)).toEqual(['docker:env:A=b']);
  });

  it('shares one request and one connection among all who ask at once', async () => {
    const one = node.attestor();
    let release: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    node.engine.lie = (request, response) => {
      void gate.then(() => {
        node.engine.answer(request, response);
      });
    };
    const process = node.caller(`/docker/${A}`);
    const impatient = new AbortController();
    const left = one.attest(process, impatient.signal);
    const asks = Array.from({ length: 50 }, () => one.attest(process, new AbortController().signal));
    impatient.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    release?.();
    for (const selectors of await Promise.all(asks)) expect(selectors).toHaveLength(SELECTORS.length);
    expect(node.engine.requests).toHaveLength(1);
    await one.attest(process, new AbortController().signal);
    expect(node.engine).toMatchObject({ connections: 1, requests: { length: 2 } });
  });

  it('finds the container by patterns of its own', async () => {
    const patterns = {
      use_new_container_locator: false,
      container_id_cgroup_matchers: ['/my.slice/*/<id>/*'],
    };
    node.processFolder(FIRST, `/my.slice/x/${A}/init`);
    expect(await node.attest(`/my.slice/x/${A}/web`, patterns)).toEqual(SELECTORS);
    expect(await node.attest(`/docker/${A}`, patterns)).toEqual([]);
    await expect(node.attest('/my.slice/x/web/y', patterns)).rejects.toThrow('no container id');
    await expect(node.attest(`/my.slice/y/${A}/web`, patterns)).rejects.toThrow('not believed');
  });

  it("asks podman's engine about a container of podman, by the user who owns it", async () => {
    const podman_socket_path = `unix://${node.directory.join('docker.sock')}`;
    node.processFolder(FIRST, `/machine.slice/libpod-${A}.scope/container`);
    const config = { docker_socket_path: '/nowhere.sock', podman_socket_path };
    expect(await node.attest(`/machine.slice/libpod-${A}.scope/container`, config)).toEqual(SELECTORS);
    const rootless = `/user.slice/user-1000.slice/user@1000.service/libpod-${A}.scope`;
    await expect(node.attest(rootless, config)).rejects.toThrow('rootless_uids would have to name 1000');
  });
});

describe('a caller who looks like it were in another container', () => {
  it.each([
    [`/system.slice/ci.service/docker-${A}.scope`, 'is in /docker/'],
    [`/docker-${A}.scope`, 'not believed to be of that container'],
    [`/docker/${B}/${A}`, 'more than one container'],
    [
      `/user.slice/user-1000.slice/user@1000.service/docker-${A}.scope`,
      'only an engine of user 1000 is believed',
    ],
  ])('is refused in %s', async (cgroup, message) => {
    await expect(node.attest(cgroup)).rejects.toThrow(message);
  });

  it('is refused when the first process cannot be seen, unless the configuration does without', async () => {
    node.engine.run({ id: A, pid: 4242 });
    await expect(node.attest(`/docker/${A}`)).rejects.toThrow("must share the engine's pid namespace");
    expect(await node.attest(`/docker/${A}`, { verify_container_process: false })).toContain(
      'docker:image_id:web:1',
    );
  });

  it('is refused when that container does not run', async () => {
    node.engine.run({ id: A, pid: FIRST, isRunning: false });
    await expect(node.attest(`/docker/${A}`)).rejects.toThrow('does not run');
  });
});
