import { describe, expect, it } from 'vitest';
import { containerOf } from './container-of.js';
import {
  A,
  B,
  located,
  NODE,
  OTHER_POD,
  POD,
  POD_,
  PODS,
  STATIC_POD,
  USER,
  user,
} from './container-of-samples.js';

describe('the container of a process', () => {
  it.each<[string, readonly string[], Record<string, unknown>, object?]>([
    [
      'docker, cgroupfs, v1',
      [`12:pids:/docker/${A}`, `1:name=systemd:/docker/${A}`],
      { path: `/docker/${A}`, groups: [`12:/docker/${A}`, `1:/docker/${A}`] },
    ],
    [
      'docker, hybrid',
      [`2:cpu,cpuacct:/docker/${A}`, `1:name=systemd:/docker/${A}`, '0::/system.slice/containerd.service'],
      { path: `/docker/${A}` },
    ],
    ['docker, cgroupfs, v2', [`0::/docker/${A}`], { groups: [`0:/docker/${A}`] }],
    ['docker, systemd, v2', [`0::/system.slice/docker-${A}.scope`], { prefix: 'docker' }],
    ['docker, systemd, v1', [`4:devices:/system.slice/docker-${A}.scope`], { prefix: 'docker' }],
    ['a scope without a prefix', [`4:devices:/system.slice/${A}.scope`], { prefix: undefined }],
    [
      'docker with a group below',
      [`0::/docker/${A}/init.scope`],
      { path: `/docker/${A}`, groups: [`0:/docker/${A}`] },
    ],
    [
      'docker for desktop',
      [`6:devices:/docker/${A}/docker/${A}/system.slice/containerd.service`],
      { path: `/docker/${A}` },
    ],
    [
      'rootless docker',
      [`0::${USER}/user.slice/docker-${A}.scope`],
      { ownerUid: 1000, prefix: 'docker' },
      user,
    ],
    ['podman', [`0::/machine.slice/libpod-${A}.scope/container`], { prefix: 'libpod' }],
    [
      'podman in a pod of its own',
      [`0::/machine.slice/machine-libpod_pod_${B}.slice/libpod-${A}.scope/container`],
      { podUid: undefined },
    ],
    ['podman, cgroupfs', [`0::/libpod_parent/libpod-${A}`], { prefix: 'libpod' }],
    [
      'a quadlet of podman',
      [`0::/system.slice/web.service/libpod-payload-${A}`],
      { prefix: 'libpod-payload' },
    ],
    [
      'rootless podman',
      [`0::${USER}/user.slice/libpod-${A}.scope/container`],
      { ownerUid: 1000, path: `${USER}/user.slice/libpod-${A}.scope` },
      user,
    ],
    ['containerd', [`0::/system.slice/cri-containerd-${A}.scope`], { prefix: 'cri-containerd' }],
    ['nerdctl', [`0::/system.slice/nerdctl-${A}.scope`], { prefix: 'nerdctl' }],
    ['kubelet, cgroupfs', [`11:hugetlb:/kubepods/burstable/pod${POD}/${A}`], { podUid: POD }],
    ['kubelet, guaranteed pod', [`0::/kubepods/pod${POD}/${A}`], { podUid: POD }],
    [
      'kubelet, systemd, dashes',
      [`11:hugetlb:${PODS}/kubepods-burstable-pod${POD}.slice/docker-${A}.scope`],
      { podUid: POD, prefix: 'docker' },
    ],
    [
      'kubelet, systemd, underscores',
      [`0::${PODS}/kubepods-burstable-pod${POD_}.slice/cri-containerd-${A}.scope`],
      { podUid: POD },
    ],
    [
      'cri-o',
      [`12:hugetlb:${PODS}/kubepods-burstable-pod${POD_}.slice/crio-${A}.scope`],
      { podUid: POD, prefix: 'crio' },
    ],
    ['cri-o, cgroupfs', [`0::/kubepods/burstable/pod${POD}/crio-${A}`], { podUid: POD }],
    [
      'cri-o, crun',
      [`0::${PODS}/kubepods-burstable-pod${POD_}.slice/crio-${A}.scope/container`],
      { podUid: POD },
    ],
    [
      'containerd where it and the kubelet disagree about the driver',
      [`0::/system.slice/containerd.service/kubepods-burstable-pod${POD_}.slice:cri-containerd:${A}`],
      { podUid: POD, prefix: 'cri-containerd' },
      { own: ['0::/system.slice/containerd.service/kubepods-besteffort-podx.slice'] },
    ],
    ['a static pod', [`0::/kubepods/burstable/pod${STATIC_POD}/${A}`], { podUid: STATIC_POD }],
    [
      'a static pod, systemd',
      [`0::${PODS}/kubepods-burstable-pod${STATIC_POD}.slice/cri-containerd-${A}.scope`],
      { podUid: STATIC_POD },
    ],
    [
      'kubelet below another root',
      [
        `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${POD_}.slice/cri-containerd-${A}.scope`,
      ],
      { podUid: POD },
    ],
    [
      'seen from another pod with a cgroup namespace',
      [`0::/../../kubepods-burstable-pod${POD_}.slice/cri-containerd-${A}.scope`],
      { podUid: POD },
      { own: ['0::/'] },
    ],
    [
      'seen from the same pod',
      [`0::/../crio-${A}.scope`],
      { podUid: undefined, prefix: 'crio' },
      { own: ['0::/'] },
    ],
    ['seen from another container', [`0::/../${A}`], { path: `/../${A}` }, { own: ['0::/'] }],
    [
      'a pod of kind, seen from its node',
      [
        `13:name=systemd:/docker/${NODE}/kubepods/besteffort/pod${POD}/${A}`,
        `0::/docker/${NODE}/system.slice/containerd.service`,
      ],
      {
        podUid: POD,
        path: `/docker/${NODE}/kubepods/besteffort/pod${POD}/${A}`,
        groups: [`13:/docker/${NODE}/kubepods/besteffort/pod${POD}/${A}`],
      },
      {
        own: [
          `13:name=systemd:/docker/${NODE}/kubepods/besteffort/pod${OTHER_POD}/${B}`,
          `0::/docker/${NODE}/system.slice/containerd.service`,
        ],
      },
    ],
    [
      'a process of the container in which the agent is',
      [`0::/docker/${A}/web`],
      { path: `/docker/${A}` },
      { own: [`0::/docker/${A}`] },
    ],
    [
      'a hierarchy that the kubelet does not manage',
      [`2:misc:/system.slice/docker-${A}.scope`, `1:cpu:/kubepods/pod${POD}/${A}`],
      { podUid: POD },
    ],
  ])('is found: %s', (_, cgroups, expected, options) => {
    expect(located(cgroups, options)).toMatchObject({ containerId: A, source: 'cgroup', ...expected });
  });

  it.each([
    ['a login', ['0::/user.slice/user-1000.slice/session-3.scope']],
    ['a service', ['0::/system.slice/nginx.service']],
    ['nothing at all, v1', ['11:hugetlb:/', '9:pids:/user.slice']],
    ['who watches over a container of podman', [`0::/machine.slice/libpod-conmon-${A}.scope`]],
    ['who watches over a container of cri-o', [`0::/system.slice/crio-conmon-${A}.scope`]],
    ['a health check that podman starts on the host', [`0::/system.slice/${A}.service`]],
    ['a pod, but no container of it', [`0::/kubepods/burstable/pod${POD}`]],
    ['an ID that is too short', [`0::/docker/${A.slice(1)}`]],
    ['an ID that is too long', [`0::/docker/a${A}`]],
    ['an ID in capitals', [`0::/docker/${A.toUpperCase()}`]],
    ['a volume that is named like a container', [`0::/system.slice/docker-${A}.mount`]],
  ])('is none: %s', (_, cgroups) => {
    expect(located(cgroups)).toBeUndefined();
  });

  it('is none for this very process or is told, whatever machine it is', () => {
    expect([undefined, 'cgroup', 'mountinfo']).toContain(
      containerOf({ procPath: '/proc/self' }, { allowsUserOwned: true })?.source,
    );
  });
});
