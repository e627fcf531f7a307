/** A folder that looks like the root of a fresh Debian: its essential packages, what is to be installed, and nothing else of this machine. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What runs a package's scripts, and the test's stand-in for a service manager. */
const ESSENTIAL = ['dash', 'coreutils', 'libc-bin', 'util-linux'];
const UNNEEDED = /^\/usr\/share\/(doc|man|locale|info|lintian|bash-completion|perl|perl5)(\/|$)/;
const MOST_PACKAGES = 200;

/** Undefined where it can be made; else why not. */
export function whyNoCleanRoot(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'root on Linux';
  if (!ESSENTIAL.every((name) => installed(name) !== undefined)) return 'a Debian machine';
  const probe = [
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    'mount --bind /proc /proc && chroot / true',
  ];
  return spawnSync('unshare', probe).status === 0 ? undefined : 'the right to mount and to chroot';
}

/** @param packages that come from elsewhere: what they depend on is put into the folder, as files and in dpkg's records. */
export function makeCleanRoot(root: string, packages: readonly string[]): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    if (!existsSync(`/${name}`)) continue;
    if (lstatSync(`/${name}`).isSymbolicLink()) symlinkSync(readlinkSync(`/${name}`), join(root, name));
    const target = join(root, 'usr', name);
    mkdirSync(target, { recursive: true });
  }
  for (const folder of ['proc', 'dev', 'tmp', 'run', 'etc', 'var/lib/dpkg/info', 'var/lib/dpkg/updates']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  const names = closure([...ESSENTIAL, ...packages.flatMap(dependenciesOf)]);
  for (const name of names) copyPackage(name, root);
  const records = [...names].map((name) => run('dpkg-query', '--status', name).trim());
  writeFileSync(join(root, 'var/lib/dpkg/status'), `${records.join('\n\n')}\n`);
  for (const name of names) {
    writeFileSync(
      join(root, 'var/lib/dpkg/info', `${recordName(name)}.list`),
      run('dpkg-query', '--listfiles', name),
    );
  }
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
}

function recordName(name: string): string {
  const [architecture, multiarch] = run(
    'dpkg-query',
    '-W',
    '-f',
    '${Architecture} ${Multi-Arch}',
    name,
  ).split(' ');
  return multiarch === 'same' ? `${name}:${architecture ?? ''}` : name;
}

function dependenciesOf(file: string): readonly string[] {
  return alternatives(run('dpkg-deb', '--field', file, 'Depends'));
}

/** Of each alternative what is installed here; those that come with the packages themselves are not. */
function alternatives(field: string): readonly string[] {
  return field
    .split(',')
    .map((one) =>
      one
        .split('|')
        .map((choice) => choice.trim().split(/[ :(]/u)[0] ?? '')
        .find((name) => name !== '' && installed(name) !== undefined),
    )
    .filter((name) => name !== undefined);
}

function closure(names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const waiting = [...names];
  for (let next = waiting.pop(); next !== undefined && found.size < MOST_PACKAGES; next = waiting.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    waiting.push(...alternatives(installed(next) ?? ''));
  }
  return found;
}

/** What an installed package depends on. */
function installed(name: string): string | undefined {
  const query = ['-W', '-f', '${db:Status-Status}\n${Pre-Depends},${Depends}', name];
  const { status, stdout } = spawnSync('dpkg-query', query, { encoding: 'utf8' });
  const [state, dependencies] = status === 0 ? stdout.split('\n') : [];
  return state === 'installed' ? dependencies : undefined;
}

function copyPackage(name: string, root: string): void {
  for (const path of run('dpkg-query', '--listfiles', name).split('\n')) {
    if (!path.startsWith('/') || path === '/.' || UNNEEDED.test(path)) continue;
    const source = lstatSync(path, { throwIfNoEntry: false });
    if (source === undefined) continue;
    const copy = join(root, path);
    if (source.isDirectory()) mkdirSync(copy, { recursive: true });
    else if (!source.isSymbolicLink()) cpSync(path, copy, { force: true });
    else if (lstatSync(copy, { throwIfNoEntry: false }) === undefined) {
      mkdirSync(dirname(copy), { recursive: true });
      symlinkSync(readlinkSync(path), copy);
    }
  }
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
}
