import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { A, B, CGROUP_MOUNT } from './container-of-samples.js';
import { containerOf, type ContainerLocation } from './container-of.js';
import { writeProcessFolder, type ProcessFolder } from './process-folder-samples.js';
import { requireSameContainer } from './same-container.js';

const FIRST = 100;
const MOUNTS = [`573 571 0:32 /../docker-${A}.scope ${CGROUP_MOUNT}`];
/** Of a container: neither its control group nor that of the agent beside it says anything. */
const INSIDE = { cgroups: ['0::/'], mounts: MOUNTS, namespaces: { mnt: 4026532500 } };

let directory: TemporaryDirectory;
beforeEach(() => {
  directory = createTemporaryDirectory();
  writeProcessFolder(directory.join('self'), { cgroups: ['0::/'] });
});
afterEach(() => {
  directory.remove();
});

function locate(process: { readonly procPath: string }): ContainerLocation | undefined {
  return containerOf(process, { allowsMountTable: true, ownProcPath: directory.join('self') });
}

function compare(caller: ProcessFolder, first: ProcessFolder | undefined): void {
  const process = { procPath: writeProcessFolder(directory.join('7'), caller) };
  if (first !== undefined) writeProcessFolder(directory.join(String(FIRST)), first);
  const location = locate(process);
  if (location === undefined) throw new Error('the caller of this test is in no container');
  requireSameContainer({ process, location, pid: FIRST, locate, procRoot: directory.path });
}

describe('a caller and the first process of its container, where control groups say nothing', () => {
  it('belong together in one mount namespace', () => {
    expect(() => {
      compare(INSIDE, INSIDE);
    }).not.toThrow();
  });

  it.each<[string, ProcessFolder | undefined, string]>([
    ['in another mount namespace', { ...INSIDE, namespaces: { mnt: 4026532501 } }, 'not believed'],
    ['in no container', { cgroups: ['0::/'] }, 'is in none'],
    ['in another container', { ...INSIDE, mounts: MOUNTS.map((line) => line.replace(A, B)) }, 'not believed'],
    ['in a container by its control group', { cgroups: [`0::/docker/${A}`] }, 'is in /docker/'],
    [
      'in a user namespace of its own',
      { ...INSIDE, namespaces: { user: 4026532999 } },
      'cannot be looked at',
    ],
    ['not visible', undefined, "must share the engine's pid namespace"],
  ])('do not when the first process is %s', (_, first, message) => {
    expect(() => {
      compare(INSIDE, first);
    }).toThrow(message);
  });
});

describe('a caller and the first process of its container, by control groups', () => {
  it('belong together also when the mount namespaces differ', () => {
    const inGroup = { cgroups: [`0::/docker/${A}`] };
    expect(() => {
      compare({ ...inGroup, namespaces: { mnt: 1 } }, inGroup);
    }).not.toThrow();
  });

  it('do not when one hierarchy differs', () => {
    const caller = { cgroups: [`1:cpu:/docker/${A}`, `0::/docker/${A}`] };
    expect(() => {
      compare(caller, { cgroups: [`1:cpu:/docker/${A}`, `0::/x/${A}`] });
    }).toThrow('not believed');
  });
});
