import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { A, B, located, NODE, OTHER_POD, POD, POD_, STATIC_POD, USER, user } from './container-of-samples.js';

describe('a process whose control groups may have been made to look like it', () => {
  it.each<[string, readonly string[], RegExp, object?]>([
    [
      'two containers in two hierarchies',
      [`2:cpu:/docker/${A}`, `1:pids:/docker/${B}`],
      /more than one container/,
    ],
    [
      "a group of another container's name below one's own",
      [`0::/docker/${A}/docker-${B}.scope`],
      /more than one container/,
    ],
    [
      'a container in a container, seen from the host',
      [`0::/docker/${NODE}/docker/${A}`],
      /more than one container/,
    ],
    [
      "a group of another pod's name below one's own",
      [`0::/kubepods/pod${POD}/${A}/kubepods/pod${OTHER_POD}/${B}`],
      /more than one container/,
    ],
    ['a pod inside the container', [`0::/kubepods/pod${POD}/${A}/pod${OTHER_POD}`], /pod inside a container/],
    ['the same container again in another pod', [`0::/docker/${A}/pod${POD}/${A}`], /pod inside a container/],
    ['two pods in a row', [`0::/kubepods/pod${OTHER_POD}/pod${POD}/${A}`], /more than one pod/],
    [
      'two pods in two hierarchies',
      [`2:cpu:/kubepods/pod${POD}/${A}`, `1:pids:/kubepods/pod${OTHER_POD}/${A}`],
      /more than one pod/,
    ],
    [
      "a pod that is not the container's",
      [`2:cpu:/kubepods/pod${OTHER_POD}`, `1:pids:/kubepods/pod${POD}/${A}`],
      /not the container's/,
    ],
    [
      "a container in a user's own groups",
      [`0::${USER}/user.slice/docker-${A}.scope`],
      /user 1000 may make groups/,
    ],
    [
      "a pod in a user's own groups",
      [`0::${USER}/app.slice/kubepods/pod${POD}/${A}`],
      /user 1000 may make groups/,
    ],
    [
      'a user in one hierarchy only',
      [`2:cpu:/docker/${A}`, `1:name=systemd:${USER}/docker/${A}`],
      /user 1000 may make groups/,
    ],
    ['two users', [`0::${USER}/user-1001.slice/docker-${A}.scope`], /more than one user/, user],
    [
      'two users in two hierarchies',
      [`2:cpu:${USER}/docker/${A}`, `1:pids:/user.slice/user-7.slice/docker/${A}`],
      /more than one user/,
      user,
    ],
    ['a user who cannot be', [`0::/user.slice/user-4294967295.slice/docker-${A}.scope`], /cannot be/, user],
    [
      "a pod in a service's groups",
      [`0::/system.slice/ci.service/kubepods/pod${POD}/${A}`],
      /not below a service/,
    ],
    [
      'a pod in the groups of a machine of systemd-nspawn',
      [`0::/machine.slice/machine-ci.scope/payload/kubepods/pod${POD}/${A}`],
      /not below a service/,
    ],
    ['a pod in the groups of LXC', [`0::/lxc.payload.ci/kubepods/pod${POD}/${A}`], /a system container/],
    ['a pod in the groups of LXC, v1', [`4:cpu:/lxc/ci/kubepods/pod${POD}/${A}`], /a system container/],
    ["CRI-O's container in a service's groups", [`0::/system.slice/ci.service/crio-${A}.scope`], /not below/],
    [
      "a container in a service's groups, seen from a pod with a cgroup namespace",
      [`0::/../../system.slice/ci.service/docker-${A}.scope`],
      /not below a service/,
      { own: ['0::/'] },
    ],
  ])('is refused: %s', (_, cgroups, message, options) => {
    expect(() => located(cgroups, options)).toThrow(message);
  });
});

describe('crafted control groups', () => {
  const segment = fc.constantFrom(
    ...['docker', A, `docker-${B}.scope`, `libpod-${A}.scope`, 'container', 'user.slice', 'user-1000.slice'],
    ...['user@1000.service', 'web.service', 'kubepods', `pod${POD}`, `kubepods-pod${POD_}.slice`, '..', ''],
    ...[`pod${OTHER_POD}`, `pod${STATIC_POD}`, `a:b:${A}`, 'init.scope'],
  );
  const path = fc.array(segment, { maxLength: 8 }).map((segments) => `/${segments.join('/')}`);

  it('never yield a container of a user, nor one among several, unless the caller allows it', () => {
    fc.assert(
      fc.property(fc.array(path, { minLength: 1, maxLength: 4 }), (paths) => {
        const lines = paths.map((each, index) => `${index}:c${index}:${each}`);
        let location;
        try {
          location = located(lines);
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
          return;
        }
        if (location === undefined) return;
        const text = lines.join('\n');
        expect(text.includes(A) && text.includes(B)).toBe(false);
        expect(location.ownerUid).toBeUndefined();
        for (const group of location.groups) expect(text).toContain(group.slice(2));
        expect(
          new Set([POD, POD_, OTHER_POD].filter((pod) => text.includes(pod)).map((pod) => pod.slice(0, 8)))
            .size,
        ).toBeLessThanOrEqual(1);
      }),
      { numRuns: 400 },
    );
  });

  it('throw nothing but errors that say so', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        try {
          located([`0::/${text}`, `1:a:/docker/${A}${text}`]);
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }),
    );
  });
});
