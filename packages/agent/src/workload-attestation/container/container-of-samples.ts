/** Containers, pods and users for tests of what finds them in control groups, and a process in whatever groups a test wants. */
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { containerOf, type ContainerOfOptions } from './container-of.js';
import { writeProcessFolder, type ProcessFolder } from './process-folder-samples.js';

export const A = '9bca8d63d5fa610783847915bcff0ecac1273e5b4bed3f6fa1b07350e0135961';
export const B = '34a2062fd26c805aa8cf814cdfe479322b791f80afb9ea4db02d50375df14b41';
export const NODE = '93529524695bb00d91c1f6dba692ea8d3550c3b94fb2463af7bc9ec82f992d26';
export const POD = '2c48913c-b29f-11e7-9350-020968147796';
export const POD_ = POD.replaceAll('-', '_');
export const OTHER_POD = 'd488cae9-b2a0-11e7-9350-020968147796';
export const STATIC_POD = '1f1c9e7e8fd2a2f8c8e4ea7b1b1bd84a';
export const PODS = '/kubepods.slice/kubepods-burstable.slice';
export const USER = '/user.slice/user-1000.slice/user@1000.service';
export const CGROUP_MOUNT = '/sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw';

export const user = { allowsUserOwned: true };

/** @param options `own`: the control groups of the agent. */
export function located(
  folder: ProcessFolder | readonly string[],
  options: ContainerOfOptions & { readonly own?: readonly string[] } = {},
): ReturnType<typeof containerOf> {
  using directory = createTemporaryDirectory();
  const process = 'cgroups' in folder ? folder : { cgroups: folder };
  const procPath = writeProcessFolder(directory.join('process'), process);
  const ownProcPath = writeProcessFolder(directory.join('own'), { cgroups: options.own ?? ['0::/agent'] });
  return containerOf({ procPath }, { ownProcPath, ...options });
}
