/** More hands for one listening socket: Node.js accepts one connection a turn of its event loop from each server, however many wait. */
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { BonafideError } from '../errors/bonafide-error.js';
import { libc, SystemCallError } from './libc.js';
import { BACKLOG } from './listen-on-unix-socket.js';

/** <linux/fcntl.h>; a copy that programs started from here do not inherit. */
const F_DUPFD_CLOEXEC = 1030;

/**
 * @param server that listens.
 * @param count of servers to add; each is to be closed like the first.
 * @throws BonafideError `unavailable` when no descriptors are to be had.
 */
export async function moreAcceptors(
  server: Server,
  count: number,
  accept: (socket: Socket) => void,
): Promise<readonly Server[]> {
  const fd = listeningDescriptor(server);
  const added: Server[] = [];
  try {
    for (let index = 0; index < count; index += 1) {
      const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, 'int', 0);
      if (copy < 0) throw new SystemCallError('fcntl', libc().errno());
      const another = createServer(accept);
      added.push(another);
      const listening = once(another, 'listening');
      another.listen({ fd: copy }, BACKLOG); // in the options it is not heard beside a descriptor
      await listening;
    }
    return added;
  } catch (error) {
    for (const each of added) each.close();
    throw error;
  }
}

function listeningDescriptor(server: Server): number {
  const handle: unknown = Reflect.get(server, '_handle'); // Node.js has no public name for it
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number' || fd < 0) throw new BonafideError('internal', 'the server does not listen');
  return fd;
}
