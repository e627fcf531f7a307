/** The few system calls that Node.js does not offer, called through koffi; Linux only. */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import type Koffi from 'koffi';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';

interface Libc {
  readonly getsockopt: (fd: number, level: number, option: number, value: Buffer, length: Buffer) => number;
  readonly syscall: (number: number, ...typesAndValues: (string | number)[]) => number;
  readonly fcntl: (fd: number, command: number, ...typesAndValues: (string | number)[]) => number;
  readonly flock: (fd: number, operation: number) => number;
  readonly poll: (descriptors: Buffer, count: number, timeoutMs: number) => number;
  readonly epollCreate: (flags: number) => number;
  readonly epollControl: (epoll: number, operation: number, fd: number, event: Buffer) => number;
  readonly epollWait: (epoll: number, events: Buffer, capacity: number, timeoutMs: number) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly sendto: (
    fd: number,
    bytes: Buffer,
    length: number,
    flags: number,
    address: Buffer,
    addressLength: number,
  ) => number;
  readonly errno: () => number;
}

export class SystemCallError extends BonafideError {
  readonly errno: number;

  constructor(call: string, errno: number) {
    super('unavailable', `system call ${call} failed with errno ${errno}`);
    this.errno = errno;
  }
}

let loaded: Libc | undefined;

/**
 * Loaded at first use, so that commands which never serve a socket start without a native library.
 * @throws BonafideError `unavailable` when there is none for this platform.
 */
export function libc(): Libc {
  loaded ??= loadLibc();
  return loaded;
}

function loadLibc(): Libc {
  // Every structure that crosses this line is written little-endian.
  if (process.platform !== 'linux' || endianness() !== 'LE') {
    throw new BonafideError(
      'unavailable',
      `callers can be identified on little-endian linux only, not on ${process.platform} ${process.arch}`,
    );
  }
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const symbols = koffi.load(null); // the running program: Node.js is linked with the C library, glibc or musl
    return {
      getsockopt: symbols.func('int getsockopt(int, int, int, void *, void *)') as Libc['getsockopt'],
      syscall: symbols.func('long syscall(long, ...)') as Libc['syscall'],
      fcntl: symbols.func('int fcntl(int, int, ...)') as Libc['fcntl'],
      flock: symbols.func('int flock(int, int)') as Libc['flock'],
      poll: symbols.func('int poll(void *, unsigned long, int)') as Libc['poll'],
      epollCreate: symbols.func('int epoll_create1(int)') as Libc['epollCreate'],
      epollControl: symbols.func('int epoll_ctl(int, int, int, void *)') as Libc['epollControl'],
      epollWait: symbols.func('int epoll_wait(int, void *, int, int)') as Libc['epollWait'],
      socket: symbols.func('int socket(int, int, int)') as Libc['socket'],
      sendto: symbols.func(
        'long sendto(int, void *, unsigned long, int, void *, unsigned int)',
      ) as Libc['sendto'],
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
