/** Starts what a systemd unit describes, as its lines say, in a folder that is the root of a machine; no systemd takes part. */
import { chownSync, copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { openListeningSocket } from '@bonafide/testing/listening-socket';
import { openNotifySocket } from '@bonafide/testing/notify-socket';
import { waitFor } from '@bonafide/testing/wait-for';

export interface StartedUnit extends AsyncDisposable {
  /** What it told its service manager, in order. */
  notices(): readonly string[];
  /** Everything it printed. */
  readonly output: () => string;
  /** Asks it to end. @returns its exit code. */
  stop(): Promise<number | null>;
}

type Unit = ReadonlyMap<string, readonly string[]>;

/** Of the range that systemd takes dynamic users from. */
const DYNAMIC_UID = 61_200;
const STOP_LIMIT_MS = 30_000;

/** Resolves when it is ready, as it says itself. */
export async function startUnit(root: string, name: string): Promise<StartedUnit> {
  const unit = readUnit(root, `${name}.service`);
  const uid = one(unit, 'DynamicUser') === 'yes' ? DYNAMIC_UID : 0;
  makeFolders(root, unit, uid);
  const credentials = copyCredentials(root, name, unit);
  const notify = openNotifySocket(join(root, 'run', `${name}.notify`));
  chmodSync(notify.path, 0o777);
  const sockets = unit.has('Sockets') ? [openSocketOf(root, one(unit, 'Sockets'))] : [];
  const environment = {
    PATH: '/usr/sbin:/usr/bin',
    NOTIFY_SOCKET: `/run/${name}.notify`,
    WATCHDOG_USEC: '2000000',
    ...(credentials === undefined ? {} : { CREDENTIALS_DIRECTORY: credentials }),
    ...(sockets.length === 0 ? {} : { LISTEN_FDS: String(sockets.length) }),
  };
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', script(root, unit, uid)],
    {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe', ...sockets.map(({ fd }) => fd)],
    },
  );
  const printed: string[] = [];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => printed.push(text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => printed.push(text));
  const started: StartedUnit = {
    notices: () => notify.messages(),
    output: () => printed.join(''),
    stop: () => stop(child, name),
    [Symbol.asyncDispose]: async () => {
      if (isRunning(child)) child.kill('SIGKILL');
      await waitFor(`${name} to be gone`, () => !isRunning(child));
      notify[Symbol.dispose]();
      for (const socket of sockets) socket[Symbol.dispose]();
    },
  };
  try {
    await waitFor(
      `${name} to say that it is ready`,
      () => {
        if (!isRunning(child)) throw new Ended(`it ended with code ${child.exitCode ?? 'none'}`);
        return started.notices().some((notice) => notice.startsWith('READY=1'));
      },
      { limitMs: 150_000, explain: started.output, stopOn: Ended },
    );
  } catch (error) {
    await started[Symbol.asyncDispose]();
    throw error;
  }
  return started;
}

class Ended extends Error {}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function stop(child: ChildProcess, name: string): Promise<number | null> {
  child.kill('SIGTERM');
  await waitFor(`${name} to stop`, () => !isRunning(child), { limitMs: STOP_LIMIT_MS });
  return child.exitCode;
}

/** One process from the shell to the program, as exec leaves it: LISTEN_PID and WATCHDOG_PID are its. */
function script(root: string, unit: Unit, uid: number): string {
  const bounding = one(unit, 'CapabilityBoundingSet').split(' ').filter(Boolean).map(capability);
  const ambient = one(unit, 'AmbientCapabilities').split(' ').filter(Boolean).map(capability);
  const groups = values(unit, 'SupplementaryGroups').map((group) => groupId(root, group));
  const privileges = [
    `--bounding-set=${['-all', ...bounding].join(',')}`,
    `--inh-caps=${['-all', ...ambient].join(',')}`,
    ...(ambient.length === 0 ? [] : [`--ambient-caps=${['-all', ...ambient].join(',')}`]),
    ...(uid === 0 ? [] : [`--reuid=${uid}`, `--regid=${uid}`]),
    groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`,
    ...(one(unit, 'NoNewPrivileges') === 'yes' ? ['--no-new-privs'] : []),
  ];
  return [
    'set -e',
    `mount --rbind /proc '${root}/proc'`,
    `mount --rbind /dev '${root}/dev'`,
    `umask ${one(unit, 'UMask')}`,
    'export LISTEN_PID=$$ WATCHDOG_PID=$$',
    `exec chroot '${root}' /usr/bin/setpriv ${privileges.join(' ')} -- ${one(unit, 'ExecStart')}`,
  ].join('\n');
}

function capability(name: string): string {
  return `+${name.replace(/^CAP_/u, '').toLowerCase()}`;
}

function makeFolders(root: string, unit: Unit, uid: number): void {
  for (const name of values(unit, 'StateDirectory')) {
    // A dynamic user's folder has a link to it; to the unit, the one that it is in looks open.
    const parent = join(root, uid === 0 ? 'var/lib' : 'var/lib/private');
    mkdirSync(parent, { recursive: true });
    const folder = join(parent, name);
    mkdirSync(folder, { recursive: true, mode: Number.parseInt(one(unit, 'StateDirectoryMode'), 8) });
    chownSync(folder, uid, uid);
    if (uid === 0) continue;
    rmSync(join(root, 'var/lib', name), { force: true });
    symlinkSync(`private/${name}`, join(root, 'var/lib', name));
  }
  for (const name of values(unit, 'RuntimeDirectory')) {
    const folder = join(root, 'run', name);
    mkdirSync(folder, { recursive: true, mode: Number.parseInt(one(unit, 'RuntimeDirectoryMode'), 8) });
    chownSync(folder, uid, uid);
  }
}

/** @returns the folder as the program sees it. */
function copyCredentials(root: string, name: string, unit: Unit): string | undefined {
  const credentials = values(unit, 'LoadCredential');
  if (credentials.length === 0) return undefined;
  const folder = `/run/credentials/${name}.service`;
  mkdirSync(join(root, folder), { recursive: true, mode: 0o700 });
  for (const credential of credentials) {
    const [id = '', path = ''] = credential.split(':');
    copyFileSync(join(root, path), join(root, folder, id));
  }
  return folder;
}

function openSocketOf(root: string, name: string): ReturnType<typeof openListeningSocket> {
  const unit = readUnit(root, name);
  const path = join(root, one(unit, 'ListenStream'));
  mkdirSync(join(path, '..'), { recursive: true, mode: Number.parseInt(one(unit, 'DirectoryMode'), 8) });
  rmSync(path, { force: true });
  return openListeningSocket(path, Number.parseInt(one(unit, 'SocketMode'), 8));
}

function groupId(root: string, group: string): string {
  const line = readFileSync(join(root, 'etc/group'), 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  if (id === undefined) throw new Error(`there is no group ${group}`);
  return id;
}

/** Lines with the same key add up. */
function readUnit(root: string, name: string): Unit {
  const unit = new Map<string, string[]>();
  for (const line of readFileSync(join(root, 'lib/systemd/system', name), 'utf8').split('\n')) {
    const [, key, value] = /^([A-Za-z]+)=(.*)$/u.exec(line) ?? [];
    if (key !== undefined && value !== undefined) unit.set(key, [...(unit.get(key) ?? []), value]);
  }
  return unit;
}

function values(unit: Unit, key: string): readonly string[] {
  return (unit.get(key) ?? []).flatMap((value) => value.split(' ')).filter((value) => value !== '');
}

function one(unit: Unit, key: string): string {
  return unit.get(key)?.join(' ') ?? '';
}
