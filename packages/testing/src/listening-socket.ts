/** A listening Unix socket that nobody in this process accepts from, to be handed to a program as a service manager does. */
import { chmodSync, closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Koffi from 'koffi';

export interface ListeningSocket extends Disposable {
  readonly fd: number;
}

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const BACKLOG = 128;

/** @param path of a file that is not there yet. */
export function openListeningSocket(path: string, mode: number): ListeningSocket {
  const libc = (createRequire(import.meta.url)('koffi') as typeof Koffi).load(null);
  const socket = libc.func('int socket(int, int, int)') as (...args: number[]) => number;
  const listen = libc.func('int listen(int, int)') as (...args: number[]) => number;
  const bind = libc.func('int bind(int, void *, unsigned int)') as (
    fd: number,
    address: Buffer,
    length: number,
  ) => number;
  const fd = socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0);
  const address = Buffer.from(`${String.fromCharCode(AF_UNIX, 0)}${path}\0`);
  if (fd < 0 || bind(fd, address, address.length) !== 0 || listen(fd, BACKLOG) !== 0) {
    throw new Error(`cannot listen at ${path}`);
  }
  chmodSync(path, mode);
  return {
    fd,
    [Symbol.dispose]: () => {
      closeSync(fd);
    },
  };
}
