import { needsControlGroups, reasonForNoControlGroups } from '@bonafide/testing/control-group';
import { containerStatus, kubeletPod, newContainerId } from '@bonafide/testing/kubelet-pod';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inDocker, inPod, inPodman } from './workload-kinds.js';
import { FETCH, OWNER, OWNERS_GROUPS, pidOf, WorkloadNode } from './workload-node.js';

const NOBODY = { uid: 65_534, gid: 65_534 };
const MIXED = { uid: 64_502, gid: 64_502 };
const STRANGER = { uid: 64_503, gid: 64_503 };
const ATTACKER = { uid: 64_504, gid: 64_504 };
const WEB_UNIT = 'bonafide-web.service';
const WEB_GROUP = `/system.slice/${WEB_UNIT}`;

describe.skipIf(reasonForNoControlGroups() !== undefined)(
  `five workload attestors in one agent (${needsControlGroups()})`,
  () => {
    let node: WorkloadNode;

    beforeAll(async () => {
      node = await WorkloadNode.start();
      node.units.set(WEB_UNIT, { Id: WEB_UNIT, FragmentPath: '/etc/systemd/system/bonafide-web.service' });
      const owners = `user@${OWNER.uid}.service`;
      node.units.set(owners, { Id: owners, FragmentPath: '/usr/lib/systemd/system/user@.service' });
      await node.register('/docker', 'docker:label:app:web');
      await node.register('/docker-mixed', 'docker:label:app:db', `unix:uid:${MIXED.uid}`);
      await node.register('/podman', 'podman:image:docker.io/library/pay:1', 'podman:uid:0');
      await node.register('/rootless', 'podman:image:docker.io/library/pay:1', `podman:uid:${OWNER.uid}`);
      await node.register('/pod', 'k8s:ns:shop', 'k8s:sa:web', 'k8s:pod-label:app:web');
      await node.register('/pod-mixed', 'k8s:sa:batch', `unix:uid:${MIXED.uid}`);
      await node.register('/unit', `systemd:id:${WEB_UNIT}`);
      await node.register('/unit-mixed', `systemd:id:${WEB_UNIT}`, `unix:uid:${MIXED.uid}`);
      await node.register('/user', 'unix:user:nobody');
    });

    afterEach(async () => {
      await node.repair();
    });
    afterAll(async () => {
      await node[Symbol.asyncDispose]();
    });

    /** Last path segments of what each is given, by its name. */
    async function identitiesOf(
      workloads: Readonly<Record<string, Promise<WorkloadProcess>>>,
    ): Promise<Readonly<Record<string, readonly string[]>>> {
      const found = Object.entries(workloads).map(async ([name, workload]) => {
        const ids = await node.identities(await workload);
        return [name, ids.map((id) => id.replace('spiffe://example.org/', '')).sort()] as const;
      });
      return Object.fromEntries(await Promise.all(found));
    }

    async function everyKind(): Promise<Readonly<Record<string, readonly string[]>>> {
      return await identitiesOf({
        docker: inDocker(node, { labels: { app: 'web' } }),
        podman: inPodman(node, '/machine.slice', {}),
        rootless: inPodman(node, `${OWNERS_GROUPS}/user.slice`, {}, OWNER),
        pod: inPod(node, 'web', MIXED),
        unit: node.process(WEB_GROUP, STRANGER),
        user: node.process(undefined, NOBODY),
      });
    }

    const EVERY_KIND = {
      ...{ docker: ['docker'], podman: ['podman'], rootless: ['rootless'] },
      ...{ pod: ['pod'], unit: ['unit'], user: ['user'] },
    };

    it('gives each kind of workload exactly its own identity', async () => {
      expect(await everyKind()).toEqual(EVERY_KIND);
    });

    it('joins what several attestors prove, and gives nothing to who has only a part', async () => {
      expect(
        await identitiesOf({
          'docker, user': inDocker(node, { labels: { app: 'db' } }, MIXED),
          'docker, another user': inDocker(node, { labels: { app: 'db' } }, STRANGER),
          'pod, user': inPod(node, 'batch', MIXED),
          'pod, another user': inPod(node, 'batch', STRANGER),
          'unit, user': node.process(WEB_GROUP, MIXED),
        }),
      ).toEqual({
        'docker, user': ['docker-mixed'],
        'docker, another user': [],
        'pod, user': ['pod-mixed'],
        'pod, another user': [],
        'unit, user': ['unit', 'unit-mixed'],
      });
    });

    it('gives nothing to a process of no kind, nor to one of another label, image, owner, account or unit', async () => {
      const found = await identitiesOf({
        'no kind': node.process(undefined, STRANGER),
        label: inDocker(node, { labels: { app: 'other' } }),
        image: inPodman(node, '/machine.slice', { image: 'docker.io/library/other:1' }),
        account: inPod(node, 'other'),
        unit: node.process('/system.slice/bonafide-other.service', STRANGER),
      });
      expect(Object.values(found).flat()).toEqual([]);
    });

    it('serves all others while an engine stalls, and its own containers what they are without it', async () => {
      node.docker.lie = () => undefined;
      const workload = await inDocker(node, { labels: { app: 'web' } }, NOBODY);
      const [ids, others] = await Promise.all([
        node.identities(workload),
        identitiesOf({ podman: inPodman(node, '/machine.slice', {}), pod: inPod(node, 'web') }),
      ]);
      expect(ids).toEqual(['spiffe://example.org/user']);
      expect(others).toEqual({ podman: ['podman'], pod: ['pod'] });
      expectFailure(workload, 'docker', 'did not answer within');
      await node.repair();
      expect(await node.identities(await inDocker(node, { labels: { app: 'web' } }, NOBODY))).toHaveLength(2);
    });

    it('serves all others while the kubelet is dead, and finds it again', async () => {
      await node.kubelet.stop();
      const workload = await inPod(node, 'web', NOBODY);
      expect(await node.identities(workload)).toEqual(['spiffe://example.org/user']);
      expect(await identitiesOf({ docker: inDocker(node, { labels: { app: 'web' } }) })).toEqual({
        docker: ['docker'],
      });
      expectFailure(workload, 'k8s', 'cannot get the pods of this node');
      await node.repair();
      expect(await identitiesOf({ pod: inPod(node, 'web') })).toEqual({ pod: ['pod'] });
    });

    it('believes no bus that lies, and serves what the others prove', async () => {
      const truth = node.units.get(WEB_UNIT) ?? {};
      node.units.set(WEB_UNIT, { ...truth, Id: 'other.service' });
      const workload = await node.process(WEB_GROUP, NOBODY);
      expect(await node.identities(workload)).toEqual(['spiffe://example.org/user']);
      expectFailure(workload, 'systemd', `systemd takes ${WEB_UNIT} for "other.service"`);
      node.units.set(WEB_UNIT, truth);
      expect(await identitiesOf({ unit: node.process(WEB_GROUP) })).toEqual({ unit: ['unit'] });
    });

    function expectFailure(workload: WorkloadProcess, attestor: string, message: string): void {
      expect(node.failures(workload)).toContainEqual(
        expect.objectContaining({
          attestor,
          request_id: expect.stringMatching(/\S{8}/) as string,
          error: expect.stringContaining(message) as string,
        }),
      );
    }

    it('answers nobody once the caller is killed in the middle of its attestation', async () => {
      const id = newContainerId();
      const group = node.group(`/docker/${id}`);
      let answerNow: (() => void) | undefined;
      node.docker.lie = (request, response) => {
        answerNow = () => {
          node.docker.answer(request, response);
        };
      };
      const caller = await WorkloadProcess.startHandingOver({
        ...{ socketPath: node.agent.socketPath, method: FETCH, group },
        program: ['sleep', '600'],
      });
      node.keep(caller);
      // Its child holds the connection, is in the container and lives on.
      node.docker.run({ id, pid: pidOf(caller), labels: { app: 'web' } });
      const release = await waitFor('the engine to be asked', () => answerNow);
      const first = await node.process(`/docker/${id}`);
      node.docker.run({ id, pid: pidOf(first), labels: { app: 'web' } });
      caller.child.kill('SIGKILL');
      await waitFor('the caller to be gone', () => caller.child.signalCode !== null);
      release();
      await caller.disconnected();
      expect(caller.messages(1)).toEqual([]);
      await node.repair();
      expect(await node.identities(first)).toEqual(['spiffe://example.org/docker']);
    });

    it("gives nothing to a process in a group that only looks like another container's", async () => {
      const [dockerId, rootlessId, podContainerId] = [newContainerId(), newContainerId(), newContainerId()];
      const docker = await node.process(`/docker/${dockerId}`);
      node.docker.run({ id: dockerId, pid: pidOf(docker), labels: { app: 'web' } });
      const owners = await node.process(`${OWNERS_GROUPS}/libpod-${rootlessId}.scope`, OWNER);
      node.rootless.run({ id: rootlessId, pid: pidOf(owners), image: 'docker.io/library/pay:1' });
      const pod = kubeletPod({ containers: [containerStatus('main', podContainerId)] });
      node.kubelet.pods.push(pod);
      await node.process(`/kubepods-bonafide/pod${pod.metadata.uid}/${podContainerId}`);
      const kubepods = `kubepods/pod${pod.metadata.uid}/${podContainerId}`;
      const paths = [
        ...[`/system.slice/ci.service/docker-${dockerId}.scope`, `/docker-${dockerId}.scope`],
        ...[`/docker/${newContainerId()}/docker-${dockerId}.scope`, `${OWNERS_GROUPS}/docker/${dockerId}`],
        ...[`/system.slice/ci.service/${kubepods}`, `/machine.slice/machine-ci.scope/payload/${kubepods}`],
        ...[`/lxc.payload.ci/${kubepods}`, `/system.slice/ci.service/crio-${podContainerId}.scope`],
        ...[`${OWNERS_GROUPS}/${kubepods}`, `/user.slice/user-64599.slice/libpod-${rootlessId}.scope`],
        ...[`/system.slice/ci.service/libpod-${rootlessId}.scope`, `/docker/${WEB_UNIT}`],
      ];
      const found = paths.map(async (path) => {
        return `${path}: ${(await node.identities(await node.process(path, ATTACKER))).join()}`;
      });
      expect(await Promise.all(found)).toEqual(paths.map((path) => `${path}: `));
    });

    it('keeps no descriptor of a workload that is gone', async () => {
      await node.endWorkloads();
      await waitFor('the workloads to be let go of', () => node.descriptors().processes.length === 0, {
        explain: () => JSON.stringify(node.descriptors()),
      });
      const { sockets } = node.descriptors();
      for (let round = 0; round < 3; round += 1) {
        expect(await everyKind()).toEqual(EVERY_KIND);
        expect(node.descriptors().processes).not.toEqual([]);
        await node.endWorkloads();
      }
      await waitFor(
        'the descriptors to be closed',
        () => {
          const now = node.descriptors();
          return now.processes.length === 0 && now.sockets <= sockets;
        },
        { limitMs: 150_000, explain: () => JSON.stringify(node.descriptors()) },
      );
    });
  },
);
