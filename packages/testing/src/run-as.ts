/** Starting a process as another user, as workloads of several owners meet one agent. Needs root. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; none unless told. */
  readonly groups?: readonly number[];
}

/** Undefined: the account of this process. */
export function spawnAs(
  account: Account | undefined,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  if (account === undefined) return spawn(command, args, options);
  const { uid, gid, groups = [] } = account;
  if (groups.length === 0) return spawn(command, args, { ...options, uid, gid });
  // node sets a uid and gid but drops every supplementary group: util-linux's setpriv execs in place with all three.
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${groups.join(',')}`];
  return spawn('setpriv', [...identity, '--', command, ...args], options);
}

/** Whether this process may start others as somebody else. */
export function canRunAsOthers(): boolean {
  return process.getuid?.() === 0;
}
