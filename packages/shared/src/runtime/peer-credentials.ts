/** Who is at the other end of a Unix socket, as the Linux kernel recorded it at connect time; nothing the caller says is asked. */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type Koffi from 'koffi';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';

/** The process that called connect(2); it may have exited, exec'ed or handed the socket on since. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

// <asm-generic/socket.h>, <linux/socket.h> and the syscall table; equal on every architecture that Node.js and koffi are built for.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_DOMAIN = 39;
const SO_PEERPIDFD = 77;
const AF_UNIX = 1;
const SYS_PIDFD_OPEN = 434;
const POLLIN = 1;
const POLLNVAL = 0x20;
const EINTR = 4;
const ENOPROTOOPT = 92;
const NOBODY_KNOWN = 0xffff_ffff;

interface Libc {
  readonly getsockopt: (fd: number, level: number, option: number, value: Buffer, length: Buffer) => number;
  readonly syscall: (number: number, ...typesAndValues: (string | number)[]) => number;
  readonly poll: (descriptors: Buffer, count: number, timeoutMs: number) => number;
  readonly errno: () => number;
}

/**
 * The descriptor behind a connected socket; to be read in the 'connection' handler, because it is gone once the socket is destroyed.
 * @throws BonafideError `unavailable` when the socket has already ended.
 */
export function socketDescriptor(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle'); // Node.js has no public name for it
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number' || fd < 0)
    throw new BonafideError('unavailable', 'the connection has already ended');
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
  if (credentials.pid <= 0 || credentials.uid === NOBODY_KNOWN) {
    throw new BonafideError(
      'permission_denied',
      'the caller is not visible from here: it must run in this pid namespace or in one below it',
    );
  }
  return credentials;
}

/**
 * Opens a descriptor of the very process that connected (SO_PEERPIDFD, Linux 6.5), or on an older kernel of whatever process has its
 * pid now, which the caller must then compare with what it knows. The caller closes it.
 * @throws BonafideError `unavailable` when the process is gone or no descriptor can be had.
 */
export function openPeerPidfd(fd: number, pid: number): number {
  try {
    return socketOption(fd, SO_PEERPIDFD, 4).readInt32LE();
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.errno !== ENOPROTOOPT) throw error;
  }
  const { syscall, errno } = libc();
  const pidfd = syscall(SYS_PIDFD_OPEN, 'int', pid, 'unsigned int', 0);
  if (pidfd < 0) throw new SystemCallError('pidfd_open', errno());
  return pidfd;
}

const pollEntry = Buffer.alloc(8);

/** False from the moment the process exits, even while its parent has not waited for it. @throws when `pidfd` is closed. */
export function isPidfdAlive(pidfd: number): boolean {
  const { poll, errno } = libc();
  for (let attempt = 0; attempt < 100; attempt += 1) {
    pollEntry.writeInt32LE(pidfd, 0);
    pollEntry.writeInt16LE(POLLIN, 4);
    pollEntry.writeInt16LE(0, 6);
    const ready = poll(pollEntry, 1, 0);
    if (ready === 0) return true;
    if (ready > 0) {
      if ((pollEntry.readInt16LE(6) & POLLNVAL) !== 0) throw new SystemCallError('poll', 9);
      return false;
    }
    if (errno() !== EINTR) break;
  }
  throw new SystemCallError('poll', errno());
}

class SystemCallError extends BonafideError {
  readonly errno: number;

  constructor(call: string, errno: number) {
    super('unavailable', `cannot learn who the caller is: ${call} failed with errno ${errno}`);
    this.errno = errno;
  }
}

const optionValue = Buffer.alloc(16);
const optionLength = Buffer.alloc(4);

/** The answer is a view of one shared buffer: read it before the next call. */
function socketOption(fd: number, option: number, bytes: number): Buffer {
  const { getsockopt, errno } = libc();
  optionLength.writeUInt32LE(bytes);
  if (getsockopt(fd, SOL_SOCKET, option, optionValue, optionLength) !== 0) {
    throw new SystemCallError(`getsockopt ${option}`, errno());
  }
  return optionValue.subarray(0, optionLength.readUInt32LE());
}

let loaded: Libc | undefined;

/** Loaded at first use, so that commands which never serve a socket start without a native library. */
function libc(): Libc {
  loaded ??= loadLibc();
  return loaded;
}

function loadLibc(): Libc {
  if (process.platform !== 'linux') {
    throw new BonafideError(
      'unavailable',
      `callers can be identified on linux only, not on ${process.platform}`,
    );
  }
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const symbols = koffi.load(null); // the running program: Node.js is linked with the C library, glibc or musl
    return {
      getsockopt: symbols.func('int getsockopt(int, int, int, void *, void *)') as Libc['getsockopt'],
      syscall: symbols.func('long syscall(long, ...)') as Libc['syscall'],
      poll: symbols.func('int poll(void *, unsigned long, int)') as Libc['poll'],
      errno: () => koffi.errno(),
    };
  } catch (error) {
    throw new BonafideError(
      'unavailable',
      `the native library koffi did not load (${errorMessage(error)}); install without omitting optional dependencies`,
      { cause: error },
    );
  }
}
