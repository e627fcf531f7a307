/** Sends datagrams to a Unix socket, which Node.js cannot: as a service manager receives them (unix(7)). */
import { closeSync } from 'node:fs';
import { invalidArgument } from '../errors/bonafide-error.js';
import { libc, SystemCallError } from './libc.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = 11;
const LONGEST_PATH = 107;

export class DatagramSender {
  readonly #address: Buffer;
  readonly #fd: number;

  /**
   * @param path of the file, or with `@` before it a name in the abstract namespace.
   * @throws BonafideError `invalid_argument` when it is neither, `unavailable` when there are no such sockets here.
   */
  constructor(path: string) {
    this.#address = socketAddress(path);
    const { socket, errno } = libc();
    this.#fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw new SystemCallError('socket', errno());
  }

  /**
   * Never waits.
   * @returns false when the receiver's queue is full.
   * @throws BonafideError `unavailable` when nobody receives there.
   */
  send(text: string): boolean {
    const { sendto, errno } = libc();
    const bytes = Buffer.from(text);
    const address = this.#address;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (sendto(this.#fd, bytes, bytes.length, flags, address, address.length) >= 0) return true;
    const reason = errno();
    if (reason === EAGAIN) return false;
    throw new SystemCallError('sendto', reason);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function socketAddress(path: string): Buffer {
  const name = Buffer.from(path);
  if (!/^[/@]./su.test(path) || name.length > LONGEST_PATH || name.includes(0)) {
    throw invalidArgument(
      `${JSON.stringify(path)} is no Unix socket: a path from / on, or @ and a name, of ${LONGEST_PATH} bytes at most`,
    );
  }
  const isAbstract = path.startsWith('@');
  if (isAbstract) name[0] = 0;
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name, isAbstract ? Buffer.alloc(0) : Buffer.alloc(1)]);
}
