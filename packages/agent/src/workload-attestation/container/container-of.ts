/** Which container a process is in, by its control groups; a path that may have been made to look like another container's is refused. */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from '../attested-process.js';
import { readCgroups, type Cgroup } from '../cgroups.js';
import { readCgroupMounts } from './cgroup-mounts.js';
import { parseCgroupPath, type ContainerInPath } from './cgroup-path.js';

export interface ContainerLocation extends Omit<ContainerInPath, 'isDelegated'> {
  /**
   * `cgroup`: the kernel says so, and only who may write to the control groups can bend it. `mountinfo`: the control groups say nothing,
   * which happens in the agent's own container; then the mount table does, which root of that container can bend.
   */
  readonly source: 'cgroup' | 'mountinfo';
  /** The container's own group in each hierarchy that names it, as `0:/docker/<id>`: the same for every process of the container. */
  readonly groups: readonly string[];
}

export interface ContainerOfOptions {
  /** Whether a container may be below what systemd leaves to a user; the caller then has to ask that user's engine. */
  readonly allowsUserOwned?: boolean;
  /** Whether the mount table is believed where the control groups say nothing; the caller then has to compare mount namespaces. */
  readonly allowsMountTable?: boolean;
  /** The agent itself: a container around the agent is where it runs, not what its workloads are. */
  readonly ownProcPath?: string;
}

/**
 * Undefined for a process that is in no container.
 * @throws BonafideError `failed_precondition` for a process in more than one container, or where a user could have made the group;
 * `internal` when procfs is not as the kernel writes it; a file system error when it cannot be read.
 */
export function containerOf(
  process: Pick<AttestedProcess, 'procPath'>,
  { allowsUserOwned = false, allowsMountTable = false, ownProcPath = '/proc/self' }: ContainerOfOptions = {},
): ContainerLocation | undefined {
  const cgroups = readCgroups(process);
  const parsed = cgroups.map(({ hierarchyId, path }) => ({ hierarchyId, ...parseCgroupPath(path) }));
  const named = parsed.flatMap(({ hierarchyId, containers }) =>
    containers.map((container) => ({ hierarchyId, container })),
  );
  if (named.length === 0) {
    if (cgroups.some(({ path }) => path !== '/')) return undefined;
    return mountedContainer(process, { allowsMountTable, ownProcPath });
  }
  const candidates = isOneContainer(named) ? named : withoutSurroundings(named, ownProcPath);
  const container = theOne(candidates.map((candidate) => candidate.container));
  if (parsed.some(({ podUid }) => podUid !== undefined && podUid !== container.podUid)) {
    throw refused("it is in a pod that is not the container's");
  }
  if (container.ownerUid !== undefined && !allowsUserOwned) {
    throw refused(`user ${container.ownerUid} may make groups there as it pleases`);
  }
  if (mayBeOfPod(container) && container.isDelegated && !allowsUserOwned) {
    if (!isAroundAgent(candidates, ownProcPath)) {
      throw refused(
        'a pod is not below a service, a scope or a system container, which may be left to others',
      );
    }
  }
  const groups = candidates.map((candidate) => `${candidate.hierarchyId}:${candidate.container.path}`);
  return location(container, { source: 'cgroup', groups: groups.sort() });
}

/** CRI-O's groups, and what an agent in a control group namespace sees of its own pod, do not name the pod. Docker's and Podman's own do not either. */
export function mayBeOfPod({
  path,
  podUid,
  prefix,
}: Pick<ContainerInPath, 'path' | 'podUid' | 'prefix'>): boolean {
  return podUid !== undefined || prefix === 'crio' || path.startsWith('/../');
}

interface Named {
  readonly hierarchyId: number;
  readonly container: ContainerInPath;
}

function isOneContainer(named: readonly Named[]): boolean {
  return new Set(named.map(({ container }) => container.containerId)).size === 1;
}

/** An agent in a container, such as a node of kind, sees that container in every path: they are the machine it runs on. */
function withoutSurroundings(named: readonly Named[], ownProcPath: string): readonly Named[] {
  const own = ownGroups(ownProcPath);
  const inner = named.filter(({ hierarchyId, container }) => !isWithin(own.get(hierarchyId), container.path));
  return inner.length > 0 ? inner : named;
}

/** Whether what is above the pods is above the agent as well, so that only the node's own root could have made it. */
function isAroundAgent(named: readonly Named[], ownProcPath: string): boolean {
  const own = ownGroups(ownProcPath);
  return named.every(({ hierarchyId, container }) => {
    const delegated = /^.*(?:\.service|\.scope|\/lxc|\/lxc\.payload[^/]*)(?=\/)/.exec(container.path)?.[0];
    return delegated === undefined || isWithin(own.get(hierarchyId), delegated);
  });
}

function ownGroups(ownProcPath: string): ReadonlyMap<number, string> {
  return new Map(
    readCgroups({ procPath: ownProcPath }).map(({ hierarchyId, path }: Cgroup) => [hierarchyId, path]),
  );
}

function isWithin(path: string | undefined, ancestor: string): boolean {
  return path !== undefined && `${path}/`.startsWith(`${ancestor}/`);
}

/** Of what all hierarchies say. A hierarchy that the kubelet does not manage may know the container but not its pod. */
function theOne(containers: readonly ContainerInPath[]): ContainerInPath {
  const inPod = containers.filter(({ podUid }) => podUid !== undefined);
  const [first] = inPod.length > 0 ? inPod : containers;
  if (first === undefined || containers.some(({ containerId }) => containerId !== first.containerId)) {
    throw refused('it is in more than one container');
  }
  if (inPod.some(({ podUid }) => podUid !== first.podUid)) throw refused('it is in more than one pod');
  const owner = containers.find(({ ownerUid }) => ownerUid !== undefined)?.ownerUid;
  if (containers.some(({ ownerUid }) => ownerUid !== undefined && ownerUid !== owner)) {
    throw refused('more than one user owns it');
  }
  return { ...first, ownerUid: owner, isDelegated: containers.some(({ isDelegated }) => isDelegated) };
}

/** Whoever has a user namespace of its own may mount what it likes, without a privilege: its table proves nothing. */
function mountedContainer(
  process: Pick<AttestedProcess, 'procPath'>,
  { allowsMountTable, ownProcPath }: Pick<Required<ContainerOfOptions>, 'allowsMountTable' | 'ownProcPath'>,
): ContainerLocation | undefined {
  const roots = readCgroupMounts(process).filter((root) => root !== '/');
  const found = roots.flatMap((root) => parseCgroupPath(root).containers);
  if (found.length === 0) return undefined;
  if (!allowsMountTable) throw refused('only its mount table names a container, which proves nothing here');
  if (userNamespace(process.procPath) !== userNamespace(ownProcPath)) {
    throw refused('only its mount table names a container, and it may mount as it pleases');
  }
  const container = theOne(found);
  if (container.ownerUid !== undefined) throw refused('its mount table names a group that is left to a user');
  return location(container, { source: 'mountinfo', groups: [] });
}

function userNamespace(procPath: string): string {
  return readlinkSync(join(procPath, 'ns', 'user'));
}

function location(
  { containerId, prefix, podUid, ownerUid, path }: ContainerInPath,
  proof: Pick<ContainerLocation, 'source' | 'groups'>,
): ContainerLocation {
  return { containerId, prefix, podUid, ownerUid, path, ...proof };
}

function refused(why: string): BonafideError {
  return new BonafideError(
    'failed_precondition',
    `the container of the process is not believed: ${why}; see docs/workload-attestation/README.md`,
  );
}
