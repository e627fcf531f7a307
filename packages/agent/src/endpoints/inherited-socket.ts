/** Finds the listening socket that a service manager hands over (socket activation, sd_listen_fds(3)). */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

const FIRST_INHERITED_FD = 3;

/**
 * @returns its descriptor, or undefined when this process was not started with one.
 * @throws BonafideError `invalid_argument` when more than one socket is handed over.
 */
export function inheritedSocket(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  const { LISTEN_PID: listenPid, LISTEN_FDS: listenFds } = environment;
  if (listenPid !== String(pid) || listenFds === undefined || listenFds === '0') return undefined;
  if (listenFds !== '1') {
    throw invalidArgument(`LISTEN_FDS is ${JSON.stringify(listenFds)}; exactly one socket can be inherited`);
  }
  return FIRST_INHERITED_FD;
}
