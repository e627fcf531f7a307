/** The containers that one control group's path names, as container engines and the kubelet name their groups. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface ContainerInPath {
  /** 64 hexadecimal digits. */
  readonly containerId: string;
  /** What stands before the ID, for example `docker`, `libpod`, `cri-containerd`, `crio`; undefined when nothing does. */
  readonly prefix: string | undefined;
  /** With dashes, however the path writes it; of a static pod 32 hexadecimal digits without. */
  readonly podUid: string | undefined;
  /** The user who may make groups as it pleases where this one is (systemd's `user@1000.service` and `user-1000.slice`). */
  readonly ownerUid: number | undefined;
  /** Whether it is below a group that may have been left to others: a service or scope (`Delegate=`), a system container of LXC. */
  readonly isDelegated: boolean;
  /** The container's own group: the path as far as the segment with its ID. */
  readonly path: string;
}

/** `<id>`, `docker-<id>.scope`, `crio-<id>`, `kubepods-pod<uid>.slice:cri-containerd:<id>`; what is no container is told by its prefix. */
const CONTAINER = /^(?:(?:(.{0,200}):)?([a-z][a-z0-9-]{0,40})[-:])?([0-9a-f]{64})(?:\.scope)?$/;
/** The engines' own processes that watch over a container, from outside of it. */
const WATCHERS = new Set(['libpod-conmon', 'crio-conmon', 'conmon']);
/** The cgroupfs driver writes `pod<uid>`, systemd's `kubepods-burstable-pod<uid>.slice`; a static pod's is a digest. */
const POD =
  /^(?:.{0,200}-)?pod([0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$/;
const DELEGATED = /\.(?:service|scope)$|^lxc(?:$|\.payload)/;
const USER = /^user[-@](\d{1,10})\.(?:slice|service)$/;
/** -1 is no user (chown(2)). */
const HIGHEST_UID = 2 ** 32 - 2;

export interface CgroupPath {
  /** Outermost first. */
  readonly containers: readonly ContainerInPath[];
  /** Of the pod whose group this is, when the path names no container. */
  readonly podUid: string | undefined;
}

/**
 * A container that is named twice in a row counts once, at its outermost place.
 * @throws BonafideError `failed_precondition` for a path that no engine makes: two pods for one container, a pod inside a container that
 * holds none, two users who own it.
 */
export function parseCgroupPath(path: string): CgroupPath {
  const containers: ContainerInPath[] = [];
  let podUid: string | undefined;
  let ownerUid: number | undefined;
  let isDelegated = false;
  let end = 0;
  for (const segment of path.slice(1).split('/')) {
    end += 1 + segment.length;
    const [isContainer, before, prefix, containerId = ''] = CONTAINER.exec(segment) ?? [];
    podUid = onlyOne(podUid, podIn(before ?? segment), 'pod');
    ownerUid = onlyOne(ownerUid, ownerIn(segment), 'user');
    if (isContainer !== undefined && !WATCHERS.has(prefix ?? '')) {
      if (containers.at(-1)?.containerId !== containerId) {
        containers.push({ containerId, prefix, podUid, ownerUid, isDelegated, path: path.slice(0, end) });
      } else if (podUid !== undefined) {
        throw crafted('names a pod inside a container');
      }
      podUid = undefined;
    }
    isDelegated ||= DELEGATED.test(segment);
  }
  if (podUid !== undefined && containers.length > 0) throw crafted('names a pod inside a container');
  return { containers, podUid };
}

function podIn(segment: string): string | undefined {
  return POD.exec(segment)?.[1]?.replaceAll('_', '-');
}

/** The user who may make groups below a part of this path, if there is one. @throws BonafideError as `parseCgroupPath`. */
export function ownerOfPath(path: string): number | undefined {
  return path
    .split('/')
    .reduce<number | undefined>((uid, segment) => onlyOne(uid, ownerIn(segment), 'user'), undefined);
}

function ownerIn(segment: string): number | undefined {
  const uid = USER.exec(segment)?.[1];
  if (uid === undefined) return undefined;
  if (Number(uid) > HIGHEST_UID) throw crafted('names a user who cannot be');
  return Number(uid);
}

function onlyOne<T>(known: T | undefined, found: T | undefined, what: string): T | undefined {
  if (known !== undefined && found !== undefined && known !== found) {
    throw crafted(`names more than one ${what}`);
  }
  return found ?? known;
}

function crafted(how: string): BonafideError {
  return new BonafideError(
    'failed_precondition',
    `the control group of the process ${how}: none that an engine makes`,
  );
}
