/** The receiving end of sd_notify(3), in place of a service manager: a real datagram socket that a test reads. */
import { closeSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Koffi from 'koffi';

export interface NotifySocket extends Disposable {
  /** For NOTIFY_SOCKET. */
  readonly path: string;
  /** All that was received so far, in order; one message has one or more lines. */
  messages(): readonly string[];
}

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_DONTWAIT = 0x40;
const LARGEST_BYTES = 4096;
const MOST_AT_ONCE = 1000;

/** @param path of a file that is not there yet, or `@` and a name. */
export function openNotifySocket(path: string): NotifySocket {
  const libc = (createRequire(import.meta.url)('koffi') as typeof Koffi).load(null);
  const socket = libc.func('int socket(int, int, int)') as (...args: number[]) => number;
  const bind = libc.func('int bind(int, void *, unsigned int)') as (
    fd: number,
    address: Buffer,
    length: number,
  ) => number;
  const recv = libc.func('long recv(int, void *, unsigned long, int)') as (
    fd: number,
    bytes: Buffer,
    length: number,
    flags: number,
  ) => number;

  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  const address = Buffer.from(`${String.fromCharCode(AF_UNIX, 0)}${path.replace(/^@/u, '\0')}`);
  if (fd < 0 || bind(fd, address, address.length) !== 0) throw new Error(`cannot receive at ${path}`);
  const received: string[] = [];
  return {
    path,
    messages: () => {
      const bytes = Buffer.alloc(LARGEST_BYTES);
      for (let count = 0; count < MOST_AT_ONCE; count += 1) {
        const length = recv(fd, bytes, bytes.length, MSG_DONTWAIT);
        if (length < 0) break;
        received.push(bytes.toString('utf8', 0, length));
      }
      return received;
    },
    [Symbol.dispose]: () => {
      closeSync(fd);
      if (!path.startsWith('@')) rmSync(path, { force: true });
    },
  };
}
