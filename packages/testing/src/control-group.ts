/** Control groups of the kernel's own, as container runtimes and systemd make them, where this machine lets us. */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/** Of version 1: one that nothing depends on, systemd's own, and beside them the one of version 2. */
const OLD_HIERARCHIES = ['freezer', 'systemd', 'unified'];

export interface ControlGroup extends Disposable {
  /** A process that writes its pid into all of these is in the group from then on. */
  readonly memberFiles: readonly string[];
  /** The process is in the group from now on, and so is what it starts. */
  add(pid: number): void;
}

/** Undefined when this machine lets us make control groups; otherwise why not. */
export function reasonForNoControlGroups(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to make control groups';
  if (hierarchies().length === 0) return `no control groups can be made in ${ROOT}`;
  const path = `/bonafide-${randomUUID()}`;
  try {
    using group = createControlGroup(path);
    const join = group.memberFiles.map((file) => `echo $$ > ${file}`).join(' && ');
    const { stdout } = spawnSync('sh', ['-c', `${join} && cat /proc/self/cgroup`], { encoding: 'utf8' });
    return stdout.includes(`:${path}\n`) ? undefined : 'the control groups here are only a part of a machine';
  } catch (error) {
    return `no control groups can be made: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** For the name of a test that is skipped without them. */
export function needsControlGroups(): string {
  const reason = reasonForNoControlGroups();
  return reason === undefined ? 'with control groups of the kernel' : `skipped: ${reason}`;
}

/** In every hierarchy that there is. To be disposed of once its processes are gone. @param path for example `/docker/<id>`. */
export function createControlGroup(path: string): ControlGroup {
  const folders = hierarchies().map((hierarchy) => join(hierarchy, path));
  for (const folder of folders) make(folder);
  const memberFiles = folders.map((folder) => join(folder, 'cgroup.procs'));
  return {
    memberFiles,
    add: (pid) => {
      for (const file of memberFiles) writeFileSync(file, String(pid));
    },
    [Symbol.dispose]: () => {
      for (const folder of folders) remove(folder);
    },
  };
}

/** As the kubelet's cgroupfs driver names it, apart from any pods that are really there. */
export function createPodControlGroup(podUid: string, containerId: string): ControlGroup {
  return createControlGroup(`/kubepods-bonafide/pod${podUid}/${containerId}`);
}

function hierarchies(): readonly string[] {
  const all = existsSync(join(ROOT, 'cgroup.controllers'))
    ? [ROOT]
    : OLD_HIERARCHIES.map((name) => join(ROOT, name));
  return all.filter((hierarchy) => {
    try {
      accessSync(join(hierarchy, 'cgroup.procs'), constants.W_OK);
      return true;
    } catch {
      return false; // not mounted, or for reading only
    }
  });
}

/** What was made here and is to be removed again; what others made is theirs. */
const made = new Set<string>();

function make(folder: string): void {
  if (existsSync(folder)) return;
  make(dirname(folder));
  mkdirSync(folder);
  made.add(folder);
}

function remove(folder: string): void {
  if (!made.has(folder)) return;
  rmdirSync(folder);
  made.delete(folder);
  try {
    remove(dirname(folder));
  } catch {
    return; // another group is still in there, whose end removes it
  }
}
