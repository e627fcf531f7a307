// Makes a fresh clone ready to run: the right Node, the dependencies, the build. Fast when nothing has changed.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createHash } from 'node:crypto';

const root = dirname(import.meta.dirname);
const OLDEST_NODE = [20, 19];
/** From here on the SQLite driver comes built for every Node; an older one has it compiled for itself alone. */
const NODE_API_MAJOR = 22;

export function setUp({ say = (line) => console.error(line) } = {}) {
  requireNode();
  installDependencies(say);
  installDatabase(say);
  installSoftwareTpm(say);
  installServedPrograms(say);
  installMessageBus(say);
  installPrometheus(say);
  build(say);
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    throw new Error(`Node ${OLDEST_NODE.join('.')} or newer is needed; this is ${process.versions.node}`);
  }
}

/** Installs when the lock file or the folder changed since the last time, or when the driver was compiled for another Node. */
function installDependencies(say) {
  const stampFile = join(root, 'node_modules', '.bonafide-setup');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = `${lock} abi${process.versions.modules}`;
  const present = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
  const isForAny = Number(process.versions.node.split('.')[0]) >= NODE_API_MAJOR;
  if (present === stamp || (isForAny && present.startsWith(`${lock} `))) return;
  requireCompiler(say);
  say('setup: installing dependencies (the SQLite driver may be compiled; a minute or two)');
  const environment = { ...process.env };
  // A native build wants Node's headers; those of the running Node save a download.
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, 'include', 'node', 'node.h'))) environment.npm_config_nodedir = prefix;
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { env: environment });
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, stamp);
}

/** Compiling is the fallback where no prebuilt driver can be had; it is a system package, so it is installed only as root. */
function requireCompiler(say) {
  const missing = ['g++', 'make', 'python3'].filter((tool) => !hasCommand(tool));
  if (missing.length === 0) return;
  if (canInstallPackages()) {
    installPackages(say, missing);
    return;
  }
  say(
    `setup: ${missing.join(', ')} not found; if the SQLite driver has to be compiled, install: ${missing.join(' ')}`,
  );
}

/** The tests start PostgreSQL themselves; the cluster that Debian's package makes is on a port of its own and left alone. */
function installDatabase(say) {
  if (hasCommand('initdb') || hasDebianPostgres()) return;
  const hint =
    'setup: PostgreSQL not found; the tests of the store start it, so install: postgresql (13 or newer)';
  if (!canInstallPackages()) {
    say(hint);
    return;
  }
  try {
    installPackages(say, ['postgresql']);
  } catch (error) {
    say(`${error.message}\n${hint}`);
  }
}

/** The tests of TPMs start a software one, and compare with what tpm2-tools say; without them they are skipped, by name. */
function installSoftwareTpm(say) {
  const packages = { swtpm: 'swtpm', swtpm_setup: 'swtpm-tools', tpm2_quote: 'tpm2-tools' };
  const missing = Object.keys(packages).filter((command) => !hasCommand(command));
  if (missing.length === 0) return;
  const names = missing.map((command) => packages[command]);
  const hint = `setup: ${missing.join(', ')} not found; tests of TPMs will be skipped, so install: ${names.join(' ')}`;
  if (!canInstallPackages()) {
    say(hint);
    return;
  }
  try {
    installPackages(say, names);
  } catch (error) {
    say(`${error.message}\n${hint}`);
  }
}

/** The tests of SVIDs on disk start the programs that read them; without them they are skipped, by name. */
function installServedPrograms(say) {
  const packages = { nginx: 'nginx-light', 'redis-server': 'redis-server' };
  const missing = Object.keys(packages).filter((command) => !hasCommand(command));
  if (missing.length === 0) return;
  const names = missing.map((command) => packages[command]);
  const hint = `setup: ${missing.join(', ')} not found; tests of SVIDs on disk will be skipped, so install: ${names.join(' ')}`;
  if (!canInstallPackages()) {
    say(hint);
    return;
  }
  try {
    installPackages(say, names);
  } catch (error) {
    say(`${error.message}\n${hint}`);
  }
}

/** The tests of the systemd attestor start a message bus; without it the one that asks a real bus is skipped, by name. */
function installMessageBus(say) {
  if (hasCommand('dbus-daemon')) return;
  const hint =
    'setup: dbus-daemon not found; a test of the systemd attestor will be skipped, so install: dbus-daemon';
  if (!canInstallPackages()) {
    say(hint);
    return;
  }
  try {
    installPackages(say, ['dbus-daemon']);
  } catch (error) {
    say(`${error.message}\n${hint}`);
  }
}

/** A test has a real Prometheus read the metrics and judge the alert rules; without it that one is skipped, by name. */
function installPrometheus(say) {
  if (hasCommand('prometheus') && hasCommand('promtool')) return;
  const hint =
    'setup: prometheus not found; the test of metrics and alerts will be skipped, so install: prometheus';
  if (!canInstallPackages()) {
    say(hint);
    return;
  }
  try {
    withoutStartingServices(() => {
      installPackages(say, ['prometheus']);
    });
  } catch (error) {
    say(`${error.message}\n${hint}`);
  }
}

/** Debian starts what it installs, unless this program says no (invoke-rc.d(8)); one that is there already has its own say. */
function withoutStartingServices(install) {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) {
    install();
    return;
  }
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    rmSync(policy);
  }
}

function hasDebianPostgres() {
  const versions = '/usr/lib/postgresql';
  return (
    existsSync(versions) &&
    readdirSync(versions).some((version) => existsSync(join(versions, version, 'bin', 'initdb')))
  );
}

function hasCommand(name) {
  return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
}

function canInstallPackages() {
  return process.getuid?.() === 0 && hasCommand('apt-get');
}

function installPackages(say, names) {
  say(`setup: installing ${names.join(', ')} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-qq'], { env });
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env });
}

function build(say) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(join(root, 'packages', 'server', 'dist'))) say('setup: building');
  run(process.execPath, [join(root, 'scripts', 'generate-rpc-types.mjs')]);
  run(process.execPath, [tsc, '-b']);
}

function run(command, args, options = {}) {
  try {
    execFileSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  } catch (error) {
    throw new Error(`setup failed: ${command} ${args.join(' ')}: ${error.message}`, { cause: error });
  }
}

if (process.argv[1] !== undefined && statSync(process.argv[1]).ino === statSync(import.meta.filename).ino) {
  try {
    setUp();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
