/** Who is at the other end of a Unix socket, as the Linux kernel recorded it at connect time; nothing the caller says is asked. */
import type { Socket } from 'node:net';
import { BonafideError } from '../errors/bonafide-error.js';
import { libc, SystemCallError } from './libc.js';

/** The process that called connect(2); it may have exited, exec'ed or handed the socket on since. */
export interface PeerCredentials {
  readonly pid: number;
  /** The effective user and group at that moment. */
  readonly uid: number;
  readonly gid: number;
}

// <asm-generic/socket.h> and <linux/socket.h>; equal on every architecture that Node.js and koffi are built for.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_DOMAIN = 39;
const SO_PEERGROUPS = 59;
const SO_PEERPIDFD = 77;
const AF_UNIX = 1;
const ERANGE = 34;
const ENOPROTOOPT = 92;
const SYS_PIDFD_OPEN = 434;
const UID_UNKNOWN = 0xffff_ffff;

/**
 * The descriptor behind a connected socket; to be read in the 'connection' handler, because it is gone once the socket is destroyed.
 * @throws BonafideError `unavailable` when the socket has already ended.
 */
export function socketDescriptor(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle'); // Node.js has no public name for it
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number' || fd < 0) {
    throw new BonafideError('unavailable', 'the connection has already ended');
  }
  return fd;
}

/**
 * @param fd a connected Unix socket, see `socketDescriptor`.
 * @throws BonafideError `permission_denied` when it is no Unix socket or its caller is not visible from this pid namespace;
 * `unavailable` when the kernel or the native library does not answer.
 */
export function readPeerCredentials(fd: number): PeerCredentials {
  // On a TCP socket SO_PEERCRED succeeds with pid 0 and uid -1.
  if (socketOption(fd, SO_DOMAIN, 4).readInt32LE() !== AF_UNIX) {
    throw new BonafideError('permission_denied', 'the caller is not connected through a unix socket');
  }
  const ucred = socketOption(fd, SO_PEERCRED, 12);
  const credentials = { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8) };
  if (credentials.pid <= 0 || credentials.uid === UID_UNKNOWN) {
    throw new BonafideError(
      'permission_denied',
      'the caller is not visible from here: it must run in this pid namespace or in one below it',
    );
  }
  return credentials;
}

/**
 * The user alone, of whom a connected Unix socket leads to or comes from; also where the process itself is not visible from here.
 * @throws BonafideError as `readPeerCredentials`, except that the process need not be visible.
 */
export function readPeerUid(fd: number): number {
  if (socketOption(fd, SO_DOMAIN, 4).readInt32LE() !== AF_UNIX) {
    throw new BonafideError('permission_denied', 'the peer is not connected through a unix socket');
  }
  const uid = socketOption(fd, SO_PEERCRED, 12).readUInt32LE(4);
  if (uid === UID_UNKNOWN) throw new BonafideError('permission_denied', 'the peer of the socket has no user');
  return uid;
}

const GID_BYTES = 4;
const SOME_GROUPS = 64;
/** NGROUPS_MAX of Linux. */
const MOST_GROUPS = 65_536;

/**
 * The supplementary groups of the process, as they were when it connected (SO_PEERGROUPS, Linux 4.13); its own group is not among them.
 * @throws BonafideError `unavailable` when the kernel does not say.
 */
export function readPeerGroups(fd: number): readonly number[] {
  for (const room of [SOME_GROUPS, MOST_GROUPS]) {
    const groups = Buffer.alloc(room * GID_BYTES);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(groups.length);
    if (libc().getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, length) === 0) {
      const count = length.readUInt32LE() / GID_BYTES;
      return Array.from({ length: count }, (_, index) => groups.readUInt32LE(index * GID_BYTES));
    }
    const errno = libc().errno();
    if (errno !== ERANGE) throw new SystemCallError(`getsockopt(${SO_PEERGROUPS})`, errno);
  }
  throw new SystemCallError(`getsockopt(${SO_PEERGROUPS})`, ERANGE);
}

/**
 * Opens a pidfd of the very process that connected (SO_PEERPIDFD, Linux 6.5); on an older kernel, of the process that has its pid now,
 * so call it at once after accepting. The caller closes it.
 * @throws BonafideError `unavailable` when the process is gone or no descriptor is to be had.
 */
export function openPeerPidfd(fd: number, pid: number): number {
  try {
    return socketOption(fd, SO_PEERPIDFD, 4).readInt32LE();
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.errno !== ENOPROTOOPT) throw error;
  }
  return openPidfd(pid);
}

/** @throws BonafideError `unavailable` when no process has this pid. */
export function openPidfd(pid: number): number {
  const pidfd = libc().syscall(SYS_PIDFD_OPEN, 'int', pid, 'unsigned int', 0);
  if (pidfd < 0) throw new SystemCallError('pidfd_open', libc().errno());
  return pidfd;
}

const optionValue = Buffer.alloc(16);
const optionLength = Buffer.alloc(4);

/** The answer is a view of one shared buffer: read it before the next call. */
function socketOption(fd: number, option: number, bytes: number): Buffer {
  optionLength.writeUInt32LE(bytes);
  if (libc().getsockopt(fd, SOL_SOCKET, option, optionValue, optionLength) !== 0) {
    throw new SystemCallError(`getsockopt(${option})`, libc().errno());
  }
  return optionValue.subarray(0, optionLength.readUInt32LE());
}
