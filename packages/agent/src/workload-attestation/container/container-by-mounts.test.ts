import { describe, expect, it } from 'vitest';
import { A, B, CGROUP_MOUNT, located, POD, POD_, USER, user } from './container-of-samples.js';

const believed = { allowsMountTable: true };

describe('where the control groups say nothing, the container', () => {
  const mounts = [
    '571 570 0:60 / / rw - overlay overlay rw,lowerdir=/a',
    '572 571 0:63 / /tmp rw master:1 propagate_from:2 - tmpfs  rw,mode=755',
    `573 571 0:32 /../../kubepods-pod${POD_}.slice/cri-containerd-${A}.scope ${CGROUP_MOUNT}`,
  ];

  it('is read from the mount table', () => {
    expect(located({ cgroups: ['0::/'], mounts }, believed)).toMatchObject({
      containerId: A,
      podUid: POD,
      source: 'mountinfo',
      groups: [],
    });
  });

  it('is none when the mount table names none', () => {
    const root = `573 571 0:32 / ${CGROUP_MOUNT}`;
    expect(
      located({ cgroups: ['0::/'], mounts: [root, `1 1 0:9 /docker/${A} /x rw - ext4 a rw`] }),
    ).toBeUndefined();
  });

  it('is not believed where nobody compares mount namespaces', () => {
    expect(() => located({ cgroups: ['0::/'], mounts })).toThrow('only its mount table names a container');
    expect(located({ cgroups: ['0::/'], mounts: [`573 571 0:32 / ${CGROUP_MOUNT}`] })).toBeUndefined();
  });

  it('is not one of a user, nor one of several', () => {
    const mounted = (...roots: readonly string[]): readonly string[] =>
      roots.map((root, index) => `${index} 571 0:32 ${root} ${CGROUP_MOUNT}`);
    const owned = mounted(`${USER}/docker-${A}.scope`);
    expect(() => located({ cgroups: ['0::/'], mounts: owned }, { ...user, ...believed })).toThrow(
      'left to a user',
    );
    const several = mounted(`/docker/${A}`, `/docker/${B}`);
    expect(() => located({ cgroups: ['0::/'], mounts: several }, believed)).toThrow(
      'more than one container',
    );
  });

  it('does not believe who may mount as it pleases', () => {
    expect(() => located({ cgroups: ['0::/'], mounts, namespaces: { user: 4026532999 } }, believed)).toThrow(
      /mount as it pleases/,
    );
  });

  it('never asks the mount table of a process whose control groups say something', () => {
    expect(located({ cgroups: ['0::/user.slice/user-1000.slice/session-3.scope'], mounts })).toBeUndefined();
    expect(located({ cgroups: ['1:cpu:/', '0::/x'], mounts })).toBeUndefined();
    expect(located({ cgroups: [`0::/docker/${B}`], mounts })).toMatchObject({ containerId: B });
  });

  it.each(['nonsense', '1 2 3 /', ''])(
    'refuses a mount table that is not as the kernel writes it: %j',
    (line) => {
      expect(() => located({ cgroups: ['0::/'], mounts: [line] })).toThrow('not readable');
    },
  );
});
